#!/bin/sh
# Makes a Debian package of a built evsfs with dpkg-deb and nothing else: build.sh PROGRAM DIRECTORY.
# Pages and completions are made by the program itself. Prints the path of the package.
set -eu
umask 022
program=$(realpath "$1")
out=$(realpath "$2")
source=$(realpath "$(dirname "$0")/../..")
version=$("$program" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"

file() { install -D -m "$1" "$2" "$tree/$3"; }

install -D -m 755 "$program" "$tree/usr/bin/evsfs"
strip --strip-unneeded "$tree/usr/bin/evsfs" 2>/dev/null || true
mkdir -p "$tree/usr/sbin"
# mount(8) looks in /sbin, which is /usr/sbin.
ln -s ../bin/evsfs "$tree/usr/sbin/mount.evsfs"
ln -s ../bin/evsfs "$tree/usr/sbin/mount.fuse.evsfs"

pages=$(mktemp -d "$tree/pages.XXXX")
"$program" man "$pages" >/dev/null
for page in "$pages"/*; do
    section=${page##*.}
    mkdir -p "$tree/usr/share/man/man$section"
    gzip -9n <"$page" >"$tree/usr/share/man/man$section/${page##*/}.gz"
done
rm -r "$pages"
mkdir -p "$tree/usr/share/bash-completion/completions" "$tree/usr/share/zsh/vendor-completions" \
    "$tree/usr/share/fish/vendor_completions.d"
"$program" completions bash >"$tree/usr/share/bash-completion/completions/evsfs"
"$program" completions zsh >"$tree/usr/share/zsh/vendor-completions/_evsfs"
"$program" completions fish >"$tree/usr/share/fish/vendor_completions.d/evsfs.fish"

file 644 "$source/mount.toml.example" etc/evsfs/mount.toml
file 644 "$source/contrib/systemd/evsfs@.service" usr/lib/systemd/system/evsfs@.service
file 644 "$source/contrib/systemd/evsfs-sleep@.service" usr/lib/systemd/system/evsfs-sleep@.service
file 644 "$source/contrib/systemd/evsfs.tmpfiles" usr/lib/tmpfiles.d/evsfs.conf
file 644 "$source/contrib/debian/copyright" usr/share/doc/evsfs/copyright
file 644 "$source/README.md" usr/share/doc/evsfs/README.md
file 644 "$source/docs/SEMANTICS.md" usr/share/doc/evsfs/docs/SEMANTICS.md
# Release notes.
gzip -9n <"$source/CHANGELOG.md" >"$tree/usr/share/doc/evsfs/changelog.gz"

# The oldest C library that has the symbols the program takes.
libc=$(objdump -T "$program" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1 | cut -d_ -f2)
mkdir "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<END
Package: evsfs
Version: $version
Architecture: $architecture
Maintainer: The evsfs authors <evsfs@localhost>
Section: admin
Priority: optional
Depends: libc6${libc:+ (>= $libc)}, libgcc-s1
Recommends: fuse3
Suggests: softhsm2, opensc, cryptsetup-bin
Installed-Size: $(du -sk "$tree" | cut -f1)
Description: encrypted virtual disks as files, attached by the state of their keys
 evsfs presents encrypted virtual disks as files in a FUSE mount. A key management service decides
 what can be attached: disable a master key, and its disks can not be attached again; delete it, and
 their data is gone.
END
echo /etc/evsfs/mount.toml >"$tree/DEBIAN/conffiles"
cat >"$tree/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    if command -v systemd-tmpfiles >/dev/null; then
        systemd-tmpfiles --create evsfs.conf || true
    else
        # Without systemd: the same directories.
        install -d -m 700 /var/lib/evsfs
        install -d -m 755 /mnt/evs
    fi
    [ ! -d /run/systemd/system ] || systemctl daemon-reload || true
fi
END
# /var/lib/evsfs stays, also when the package is purged: without its root key no disk can be read again.
cat >"$tree/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
if [ "$1" = purge ] && [ -e /var/lib/evsfs ]; then
    if ! rmdir /var/lib/evsfs 2>/dev/null; then
        echo "evsfs: /var/lib/evsfs is kept: it has the disks, and the keys without which nobody reads them" >&2
    fi
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
END
chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/postrm"
package="$out/evsfs_${version}_$architecture.deb"
dpkg-deb --root-owner-group --build -Zgzip "$tree" "$package" >/dev/null
echo "$package"
