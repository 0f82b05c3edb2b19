/* For LD_PRELOAD: the wall clock is as many days ahead as the file named by FORWARD_CLOCK_FILE says,
   while there is one. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = syscall(SYS_clock_gettime, clock, now);
    const char *name = getenv("FORWARD_CLOCK_FILE");
    if (result != 0 || clock != CLOCK_REALTIME || name == NULL)
        return result;
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return result;
    char days[16] = {0};
    if (read(file, days, sizeof days - 1) > 0)
        now->tv_sec += atol(days) * 24 * 60 * 60;
    close(file);
    return result;
}
