// SPDX-License-Identifier: Apache-2.0
// Functions of libc that answer into the program's memory, or read numbers and names out of it.
//
// What they write is put down before they do, what they read after. An answer that they write only
// sometimes counts as written: an order too many, never one too few.
#include "memory/outside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

// ---- time. The recorder asks for it too, in the middle of its own steps: that is no answer.

GORDIAN_OUTSIDE_AS(int, ask_clock, "clock_gettime", (clockid_t clock, timespec* time),
                   (clock, time),
                   if (!is_recorder(__builtin_return_address(0))) answer(time, sizeof *time),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, ask_resolution, "clock_getres", (clockid_t clock, timespec* time),
                   (clock, time), answer(time, sizeof *time), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, ask_time_of_day, "gettimeofday", (timeval * time, void* zone), (time, zone),
                   answer(time, sizeof *time), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(time_t, ask_time, "time", (time_t * time), (time), answer(time, sizeof *time),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, sleep_for, "nanosleep", (const timespec* time, timespec* left),
                   (time, left), answer(left, sizeof *left), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, sleep_on, "clock_nanosleep",
                   (clockid_t clock, int flags, const timespec* time, timespec* left),
                   (clock, flags, time, left), answer(left, sizeof *left), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(tm*, local_time, "localtime_r", (const time_t* time, tm* to), (time, to),
                   answer(to, sizeof *to), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(tm*, universal_time, "gmtime_r", (const time_t* time, tm* to), (time, to),
                   answer(to, sizeof *to), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(time_t, make_time, "mktime", (tm * time), (time), answer(time, sizeof *time),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(time_t, make_universal_time, "timegm", (tm * time), (time),
                   answer(time, sizeof *time), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(size_t, format_time, "strftime",
                   (char* to, size_t size, const char* format, const tm* time),
                   (to, size, format, time), answer(to, size), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(char*, print_time, "ctime_r", (const time_t* time, char* to), (time, to),
                   answer(to, 26), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(char*, print_fields, "asctime_r", (const tm* time, char* to), (time, to),
                   answer(to, 26), GORDIAN_NOTHING)

// ---- the system and the process

GORDIAN_OUTSIDE_AS(int, ask_usage, "getrusage", (int who, rusage* usage), (who, usage),
                   answer(usage, sizeof *usage), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, ask_limit, "getrlimit", (int what, rlimit* limit), (what, limit),
                   answer(limit, sizeof *limit), hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_limit_64, "getrlimit64", (int what, rlimit* limit), (what, limit),
                   answer(limit, sizeof *limit), hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_system_name, "uname", (utsname * name), (name),
                   answer(name, sizeof *name), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, ask_system, "sysinfo", (struct sysinfo * about), (about),
                   answer(about, sizeof *about), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, ask_host_name, "gethostname", (char* to, size_t size), (to, size),
                   answer(to, size), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(char*, ask_folder, "getcwd", (char* to, size_t size), (to, size),
                   answer(to, size),
                   (to == nullptr ? wrote_text(result) : GORDIAN_NOTHING, hear_outside()))
GORDIAN_OUTSIDE_AS(char*, real_path, "realpath", (const char* path, char* to), (path, to),
                   read_text(path), (wrote_text(result), hear_outside()))
GORDIAN_OUTSIDE_AS(int, ask_file_system, "statfs", (const char* path, struct statfs* about),
                   (path, about), answer(about, sizeof *about), hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_file_system_of, "fstatfs", (int file, struct statfs* about),
                   (file, about), answer(about, sizeof *about), hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_volume, "statvfs", (const char* path, struct statvfs* about),
                   (path, about), answer(about, sizeof *about), hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_volume_of, "fstatvfs", (int file, struct statvfs* about), (file, about),
                   answer(about, sizeof *about), hear_outside())
GORDIAN_OUTSIDE_AS(ssize_t, ask_random, "getrandom", (void* to, size_t size, unsigned flags),
                   (to, size, flags), answer(to, size), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, ask_entropy, "getentropy", (void* to, size_t size), (to, size),
                   answer(to, size), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, random_of, "rand_r", (unsigned* seed), (seed), answer(seed, sizeof *seed),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, make_pipe, "pipe", (int* ends), (ends), answer(ends, 2 * sizeof(int)),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, make_pipe_so, "pipe2", (int* ends, int flags), (ends, flags),
                   answer(ends, 2 * sizeof(int)), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, make_sockets, "socketpair", (int family, int type, int protocol, int* ends),
                   (family, type, protocol, ends), answer(ends, 2 * sizeof(int)), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, allocate_aligned, "posix_memalign", (void** at, size_t unit, size_t size),
                   (at, unit, size), answer(at, sizeof *at), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, mask_signals, "sigprocmask",
                   (int how, const sigset_t* set, sigset_t* before), (how, set, before),
                   answer(before, sizeof *before), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, mask_thread_signals, "pthread_sigmask",
                   (int how, const sigset_t* set, sigset_t* before), (how, set, before),
                   answer(before, sizeof *before), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, handle_signal, "sigaction",
                   (int signal, const void* action, struct sigaction* before),
                   (signal, action, before), (answer(before, sizeof *before), tell_outside()),
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_processors, "sched_getaffinity", (pid_t task, size_t size, void* set),
                   (task, size, set), answer(set, size), hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_callers, "backtrace", (void** to, int count), (to, count),
                   answer(to, count > 0 ? static_cast<size_t>(count) * sizeof *to : 0),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, ask_thread_processors, "pthread_getaffinity_np",
                   (pthread_t thread, size_t size, void* set), (thread, size, set),
                   answer(set, size), hear_outside())
GORDIAN_OUTSIDE_AS(int, start_timer, "timerfd_settime",
                   (int file, int flags, const void* time, itimerspec* before),
                   (file, flags, time, before), (answer(before, sizeof *before), tell_outside()),
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_timer, "timerfd_gettime", (int file, itimerspec* left), (file, left),
                   answer(left, sizeof *left), hear_outside())
GORDIAN_OUTSIDE_AS(int, create_thread, "pthread_create",
                   (pthread_t * thread, const void* attributes, void* (*run)(void*),
                    void* argument),
                   (thread, attributes, run, argument), answer(thread, sizeof *thread),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, join_thread, "pthread_join", (pthread_t thread, void** result_at),
                   (thread, result_at), answer(result_at, sizeof *result_at), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, name_of_thread, "pthread_getname_np",
                   (pthread_t thread, char* to, size_t size), (thread, to, size), answer(to, size),
                   hear_outside())
GORDIAN_OUTSIDE_AS(int, value_of_semaphore, "sem_getvalue", (void* semaphore, int* value),
                   (semaphore, value), answer(value, sizeof *value), hear_outside())

// The environment lies in libc.
GORDIAN_OUTSIDE_AS(char*, get_variable, "getenv", (const char* name), (name), read_text(name),
                   hear_outside())
GORDIAN_OUTSIDE_AS(char*, get_variable_safely, "secure_getenv", (const char* name), (name),
                   read_text(name), hear_outside())
GORDIAN_OUTSIDE_AS(int, set_variable, "setenv", (const char* name, const char* value, int replace),
                   (name, value, replace), (read_text(name), read_text(value), tell_outside()),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, unset_variable, "unsetenv", (const char* name), (name), tell_outside(),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, put_variable, "putenv", (char* text), (text),
                   (read_text(text), tell_outside()), GORDIAN_NOTHING)

// ---- the network

namespace {

void answer_sized(const void* at, const socklen_t* size) {
  if (size == nullptr) return;
  answer(at, *size);
  answer(size, sizeof *size);
}
void wrote_addresses(const addrinfo* first) {
  for (const addrinfo* at = first; at != nullptr && may_tell(); at = at->ai_next) {
    on_write_range(number(at), sizeof *at);
    on_write_range(number(at->ai_addr), at->ai_addrlen);
    wrote_text(at->ai_canonname);
  }
}

}  // namespace

GORDIAN_OUTSIDE_AS(int, ask_option, "getsockopt",
                   (int file, int level, int name, void* value, socklen_t* size),
                   (file, level, name, value, size), answer_sized(value, size), hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_own_address, "getsockname", (int file, void* to, socklen_t* size),
                   (file, to, size), answer_sized(to, size), hear_outside())
GORDIAN_OUTSIDE_AS(int, ask_other_address, "getpeername", (int file, void* to, socklen_t* size),
                   (file, to, size), answer_sized(to, size), hear_outside())
GORDIAN_OUTSIDE_AS(const char*, print_address, "inet_ntop",
                   (int family, const void* address, char* to, socklen_t size),
                   (family, address, to, size), answer(to, size),
                   if (may_tell()) on_was_read_range(number(address), family == AF_INET ? 4 : 16))
GORDIAN_OUTSIDE_AS(int, read_address, "inet_pton", (int family, const char* text, void* to),
                   (family, text, to), answer(to, family == AF_INET ? 4 : 16), read_text(text))
GORDIAN_OUTSIDE_AS(int, look_up, "getaddrinfo",
                   (const char* host, const char* service, const addrinfo* hints, addrinfo** to),
                   (host, service, hints, to), (answer(to, sizeof(void*)), read_text(host)),
                   if (result == 0) wrote_addresses(*to))
GORDIAN_OUTSIDE_AS(int, look_up_name, "getnameinfo",
                   (const void* address, socklen_t size, char* host, socklen_t host_size,
                    char* service, socklen_t service_size, int flags),
                   (address, size, host, host_size, service, service_size, flags),
                   (answer(host, host_size), answer(service, service_size)), hear_outside())

// ---- numbers

GORDIAN_OUTSIDE_AS(double, split_number, "modf", (double number, double* whole), (number, whole),
                   answer(whole, sizeof *whole), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(float, split_float, "modff", (float number, float* whole), (number, whole),
                   answer(whole, sizeof *whole), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(double, exponent_of, "frexp", (double number, int* exponent), (number, exponent),
                   answer(exponent, sizeof *exponent), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(float, exponent_of_float, "frexpf", (float number, int* exponent),
                   (number, exponent), answer(exponent, sizeof *exponent), GORDIAN_NOTHING)

#define GORDIAN_SINE_AND_COSINE(hook, symbol, type)                                \
  GORDIAN_HOOK_LATE(void, hook, symbol, (type angle, type * sine, type * cosine)); \
  GORDIAN_HOOK void hook(type angle, type* sine, type* cosine) {                   \
    answer(sine, sizeof *sine);                                                    \
    answer(cosine, sizeof *cosine);                                                \
    found_##hook()(angle, sine, cosine);                                           \
  }
GORDIAN_SINE_AND_COSINE(sine_and_cosine, "sincos", double)
GORDIAN_SINE_AND_COSINE(sine_and_cosine_of_float, "sincosf", float)

namespace {

// What a number was read from: up to where reading ended, and one more. Base 16 may look at an x.
void read_number(const char* text, const char* end) {
  if (text != nullptr && may_tell())
    on_was_read_range(number(text), number(end) - number(text) + 2);
}

}  // namespace

// `end` of one's own: where reading ended is wanted even if the program does not ask.
#define GORDIAN_NUMBER(type, hook, symbol)                             \
  GORDIAN_HOOK_AS(type, hook, symbol, (const char* text, char** end)); \
  GORDIAN_HOOK type hook(const char* text, char** end) {               \
    answer(end, sizeof *end);                                          \
    char* own = nullptr;                                               \
    const type result = found_##hook()(text, &own);                    \
    if (end != nullptr) *end = own;                                    \
    read_number(text, own);                                            \
    return result;                                                     \
  }
GORDIAN_NUMBER(double, to_double, "strtod")
GORDIAN_NUMBER(float, to_float, "strtof")
GORDIAN_NUMBER(long double, to_long_double, "strtold")

#define GORDIAN_WHOLE_NUMBER(type, hook, symbol)                                   \
  GORDIAN_HOOK_LATE(type, hook, symbol, (const char* text, char** end, int base)); \
  GORDIAN_HOOK type hook(const char* text, char** end, int base) {                 \
    answer(end, sizeof *end);                                                      \
    char* own = const_cast<char*>(text);                                           \
    const type result = found_##hook()(text, &own, base);                          \
    if (end != nullptr) *end = own;                                                \
    read_number(text, own);                                                        \
    return result;                                                                 \
  }
GORDIAN_WHOLE_NUMBER(long, to_long, "strtol")
GORDIAN_WHOLE_NUMBER(unsigned long, to_unsigned_long, "strtoul")
GORDIAN_WHOLE_NUMBER(long long, to_long_long, "strtoll")
GORDIAN_WHOLE_NUMBER(unsigned long long, to_unsigned_long_long, "strtoull")
GORDIAN_WHOLE_NUMBER(long, to_long_c23, "__isoc23_strtol")
GORDIAN_WHOLE_NUMBER(unsigned long, to_unsigned_long_c23, "__isoc23_strtoul")
GORDIAN_WHOLE_NUMBER(long long, to_long_long_c23, "__isoc23_strtoll")
GORDIAN_WHOLE_NUMBER(unsigned long long, to_unsigned_long_long_c23, "__isoc23_strtoull")
GORDIAN_OUTSIDE_AS(int, to_int, "atoi", (const char* text), (text), GORDIAN_NOTHING,
                   read_text(text))
GORDIAN_OUTSIDE_AS(long, to_long_at_once, "atol", (const char* text), (text), GORDIAN_NOTHING,
                   read_text(text))
GORDIAN_OUTSIDE_AS(long long, to_long_long_at_once, "atoll", (const char* text), (text),
                   GORDIAN_NOTHING, read_text(text))
GORDIAN_OUTSIDE_AS(double, to_double_at_once, "atof", (const char* text), (text), GORDIAN_NOTHING,
                   read_text(text))

// ---- sets of signals, and what a thread asks about itself

GORDIAN_OUTSIDE_AS(int, empty_set, "sigemptyset", (sigset_t * set), (set), answer(set, sizeof *set),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, fill_set, "sigfillset", (sigset_t * set), (set), answer(set, sizeof *set),
                   GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, add_to_set, "sigaddset", (sigset_t * set, int signal), (set, signal),
                   answer(set, sizeof *set), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, take_from_set, "sigdelset", (sigset_t * set, int signal), (set, signal),
                   answer(set, sizeof *set), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, is_in_set, "sigismember", (const sigset_t* set, int signal), (set, signal),
                   GORDIAN_NOTHING, if (may_tell()) on_was_read_range(number(set), sizeof *set))
GORDIAN_OUTSIDE_AS(int, set_cancel_state, "pthread_setcancelstate", (int state, int* before),
                   (state, before), answer(before, sizeof *before), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, set_cancel_type, "pthread_setcanceltype", (int type, int* before),
                   (type, before), answer(before, sizeof *before), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, find_code, "dladdr", (const void* address, Dl_info* found),
                   (address, found), answer(found, sizeof *found), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(int, list_interfaces, "getifaddrs", (struct ifaddrs * *list), (list),
                   answer(list, sizeof(void*)), GORDIAN_NOTHING)
GORDIAN_OUTSIDE_AS(in_addr_t, to_address, "inet_addr", (const char* text), (text), GORDIAN_NOTHING,
                   read_text(text))
GORDIAN_OUTSIDE_AS(double, no_number, "nan", (const char* text), (text), GORDIAN_NOTHING,
                   read_text(text))
