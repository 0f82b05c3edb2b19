/* For LD_PRELOAD: while the file named by FORWARD_CLOCK_FILE exists, the wall clock is eight days
   ahead. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = syscall(SYS_clock_gettime, clock, now);
    const char *file = getenv("FORWARD_CLOCK_FILE");
    if (result == 0 && clock == CLOCK_REALTIME && file != NULL && access(file, F_OK) == 0)
        now->tv_sec += 8 * 24 * 60 * 60;
    return result;
}
