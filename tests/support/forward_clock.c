/* For LD_PRELOAD: the wall clock is as many days ahead as the file named by FORWARD_CLOCK_FILE says
   (behind, if negative). It is opened at once, since a daemon in its sandbox may not open it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int file = -1;

__attribute__((constructor)) static void open_the_file(void)
{
    const char *name = getenv("FORWARD_CLOCK_FILE");
    if (name != NULL)
        file = open(name, O_RDONLY | O_CLOEXEC);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = syscall(SYS_clock_gettime, clock, now);
    char days[16] = {0};
    if (result == 0 && clock == CLOCK_REALTIME && file >= 0 && pread(file, days, sizeof days - 1, 0) > 0)
        now->tv_sec += atol(days) * 24 * 60 * 60;
    return result;
}
