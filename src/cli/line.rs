//! A line of a live view: text in styles, cut to the width of a window.

/// How a piece of text looks where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// What the eye should find first.
    Strong,
    /// What it may pass over.
    Faint,
    /// The headings of a table.
    Heading,
    Good,
    Warning,
    Bad,
    /// Names of keys to press.
    Key,
}

impl Style {
    /// The escape sequence that begins it (ECMA-48, SGR).
    const fn begin(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Strong => "\x1b[1m",
            Style::Faint => "\x1b[2m",
            Style::Heading => "\x1b[7m",
            Style::Good => "\x1b[32m",
            Style::Warning => "\x1b[33m",
            Style::Bad => "\x1b[1;31m",
            Style::Key => "\x1b[36m",
        }
    }
}

/// Text in styles. Control characters never get in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pieces: Vec<(Style, String)>,
    len: usize,
}

impl Line {
    /// A line of plain text.
    pub fn plain(text: &str) -> Line {
        Line::default().with(Style::Plain, text)
    }

    /// Adds text.
    pub fn push(&mut self, style: Style, text: &str) {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.len += text.chars().count();
        self.pieces.push((style, text));
    }

    /// The line with more text.
    pub fn with(mut self, style: Style, text: &str) -> Line {
        self.push(style, text);
        self
    }

    /// Adds blanks up to a width, so that what follows ends the line.
    pub fn fill(&mut self, style: Style, width: usize) {
        if self.len < width {
            self.push(style, &" ".repeat(width - self.len));
        }
    }

    /// Characters, each taken for one column: names and aliases are ASCII.
    pub fn len(&self) -> usize {
        self.len
    }

    /// As text without styles and without blanks at its end.
    pub fn text(&self) -> String {
        let text: String = self.pieces.iter().map(|(_, text)| text.as_str()).collect();
        text.trim_end().to_owned()
    }

    /// As a terminal takes it, at most `width` columns.
    pub fn ansi(&self, width: usize, in_colour: bool) -> String {
        let (mut shown, mut room) = (String::new(), width);
        for (style, text) in &self.pieces {
            let piece: String = text.chars().take(room).collect();
            room -= piece.chars().count();
            match style.begin() {
                "" => shown.push_str(&piece),
                // A heading is told apart by its place; reverse video is no colour.
                _ if !in_colour && *style != Style::Heading => shown.push_str(&piece),
                begin => shown.extend([begin, &piece, "\x1b[0m"]),
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_is_seen_and_not_by_its_escapes() {
        let line = Line::plain("ab").with(Style::Bad, "cd").with(Style::Plain, "ef");
        assert_eq!(line.ansi(3, true), "ab\x1b[1;31mc\x1b[0m");
        assert_eq!(line.ansi(9, false), "abcdef");
        assert_eq!((line.text().as_str(), line.len()), ("abcdef", 6));
    }

    #[test]
    fn no_control_character_gets_in() {
        assert_eq!(Line::plain("a\x1b[2Jb\n").ansi(80, true), "a [2Jb ");
    }
}
