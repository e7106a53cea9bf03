// Preloaded into the program (tests/surroundings.rs): the calendar's clock goes back a day each time it is read, and who wants to talk to another
// machine is ended. At its end the process says how often the clock was read, in the file that ODD_PLACE_LOG names.

#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

static std::atomic<long> readings{0};

extern "C" int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
    const long result = syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME) {
        time->tv_sec -= 86400 * ++readings;
    }
    return static_cast<int>(result);
}

extern "C" int socket(int family, int type, int protocol) noexcept {
    if (family == AF_INET || family == AF_INET6) {
        static const char text[] = "a socket to another machine was opened\n";
        (void)!write(2, text, sizeof text - 1);
        abort();
    }
    return static_cast<int>(syscall(SYS_socket, family, type, protocol));
}

__attribute__((destructor)) static void report() {
    if (const char* path = getenv("ODD_PLACE_LOG")) {
        if (FILE* file = fopen(path, "w")) {
            fprintf(file, "%ld\n", readings.load());
            fclose(file);
        }
    }
}
