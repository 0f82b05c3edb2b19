// Makes one system call in every thread of a process, and prints what each returned: a number, or a
// negative errno.
//
//   calls PID NUMBER [ARGUMENT ...]      an argument is a number, or a text behind '='
//
// As a debugger would, but with the general registers alone: gdb restores all of them, and fails where
// the processor has more than it knows.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the registers of x86-64"
#endif

static const unsigned char SYSCALL[2] = {0x0f, 0x05};
// Below what the thread may have written under its stack pointer, which is left as it is.
enum { RED_ZONE = 128, TEXT = 4096 };

static void must(int holds, const char *what) {
    if (holds) return;
    perror(what);
    exit(1);
}

static void wait_for_stop(pid_t thread) {
    int status = 0;
    must(waitpid(thread, &status, __WALL) == thread, "waitpid");
    must(WIFSTOPPED(status), "the thread has ended");
}

// Stops a thread where it waits in a system call: the instruction behind it is the one to come back to.
static struct user_regs_struct stop_in_call(pid_t process, pid_t thread) {
    for (int attempt = 0; attempt < 500; attempt++) {
        must(ptrace(PTRACE_SEIZE, thread, 0, 0) == 0, "PTRACE_SEIZE");
        must(ptrace(PTRACE_INTERRUPT, thread, 0, 0) == 0, "PTRACE_INTERRUPT");
        wait_for_stop(thread);
        struct user_regs_struct registers;
        must(ptrace(PTRACE_GETREGS, thread, 0, &registers) == 0, "PTRACE_GETREGS");
        unsigned char code[2] = {0};
        struct iovec to = {code, sizeof code};
        struct iovec from = {(void *)(registers.rip - sizeof code), sizeof code};
        if (process_vm_readv(process, &to, 1, &from, 1, 0) == sizeof code &&
            memcmp(code, SYSCALL, sizeof code) == 0)
            return registers;
        must(ptrace(PTRACE_DETACH, thread, 0, 0) == 0, "PTRACE_DETACH");
        usleep(10000);
    }
    fprintf(stderr, "thread %d is never in a system call\n", thread);
    exit(1);
}

static long long call(pid_t process, pid_t thread, int count, char **words) {
    struct user_regs_struct before = stop_in_call(process, thread);
    struct user_regs_struct now = before;
    unsigned long long *places[] = {&now.rdi, &now.rsi, &now.rdx, &now.r10, &now.r8, &now.r9};
    unsigned long long text = (before.rsp - RED_ZONE - TEXT) & ~15ULL;
    now.rax = strtoull(words[0], 0, 0);
    // No call that is to be repeated is under way.
    now.orig_rax = -1;
    now.rip -= sizeof SYSCALL;
    for (int n = 1; n < count && n <= 6; n++) {
        if (words[n][0] != '=') {
            *places[n - 1] = strtoll(words[n], 0, 0);
            continue;
        }
        struct iovec from = {words[n] + 1, strlen(words[n])};
        struct iovec to = {(void *)text, from.iov_len};
        must(from.iov_len <= TEXT, "a long text");
        must(process_vm_writev(process, &from, 1, &to, 1, 0) == (ssize_t)from.iov_len, "writing");
        *places[n - 1] = text;
        text -= TEXT;
    }
    must(ptrace(PTRACE_SETREGS, thread, 0, &now) == 0, "PTRACE_SETREGS");
    must(ptrace(PTRACE_SINGLESTEP, thread, 0, 0) == 0, "PTRACE_SINGLESTEP");
    wait_for_stop(thread);
    must(ptrace(PTRACE_GETREGS, thread, 0, &now) == 0, "PTRACE_GETREGS");
    must(ptrace(PTRACE_SETREGS, thread, 0, &before) == 0, "PTRACE_SETREGS");
    must(ptrace(PTRACE_DETACH, thread, 0, 0) == 0, "PTRACE_DETACH");
    return now.rax;
}

int main(int count, char **words) {
    must(count >= 3 && count <= 9, "PID NUMBER [ARGUMENT ...]");
    pid_t process = atoi(words[1]);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *threads = opendir(path);
    must(threads != NULL, path);
    for (struct dirent *entry; (entry = readdir(threads));)
        if (entry->d_name[0] != '.')
            printf("%lld\n", call(process, atoi(entry->d_name), count - 2, words + 2));
    return 0;
}
