/* Fails one chosen system call that writes below a chosen folder; see faults.py.

   Preloaded (LD_PRELOAD), it counts the calls that create, write, flush, rename or make something below
   the folder. Call number `at` fails with a chosen error; all others reach the C library. Nothing is
   counted before fault_arm. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long at, seen;
static int error_number, armed;
static char folder[PATH_MAX];
static char failed[PATH_MAX + 32];

void fault_arm(long number, int error, const char *below) {
    at = number;
    seen = 0;
    error_number = error;
    failed[0] = 0;
    snprintf(folder, sizeof folder, "%s", below);
    armed = 1;
}

void fault_disarm(void) { armed = 0; }
long fault_seen(void) { return seen; }
const char *fault_failed(void) { return failed; }

static int is_below(const char *path) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int fails(const char *call, const char *path) {
    if (__sync_add_and_fetch(&seen, 1) != at) return 0;
    snprintf(failed, sizeof failed, "%s %s", call, path);
    errno = error_number;
    return 1;
}

static int fails_path(const char *call, int directory, const char *path) {
    char whole[2 * PATH_MAX], link[64];
    if (!armed || !path) return 0;
    if (path[0] == '/') return is_below(path) && fails(call, path);
    if (directory == AT_FDCWD) {
        if (!getcwd(whole, PATH_MAX)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t length = readlink(link, whole, PATH_MAX - 1);
        if (length < 0) return 0;
        whole[length] = 0;
    }
    strncat(whole, "/", sizeof whole - strlen(whole) - 1);
    strncat(whole, path, sizeof whole - strlen(whole) - 1);
    return is_below(whole) && fails(call, whole);
}

static int fails_file(const char *call, int descriptor) {
    char path[PATH_MAX], link[64];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path) && fails(call, path);
}

#define REAL(name) (dlsym(RTLD_NEXT, name))
#define WRITES (O_CREAT | O_WRONLY | O_RDWR)

#define WRAP_FILE(type, name, parameters, arguments)                                             \
    type name parameters {                                                                       \
        static type(*real) parameters;                                                           \
        if (!real) real = REAL(#name);                                                           \
        return fails_file(#name, descriptor) ? -1 : real arguments;                              \
    }

WRAP_FILE(ssize_t, write, (int descriptor, const void *data, size_t count), (descriptor, data, count))
WRAP_FILE(ssize_t, writev, (int descriptor, const struct iovec *parts, int count),
          (descriptor, parts, count))
WRAP_FILE(ssize_t, pwrite, (int descriptor, const void *data, size_t count, off_t offset),
          (descriptor, data, count, offset))
WRAP_FILE(ssize_t, pwrite64, (int descriptor, const void *data, size_t count, off64_t offset),
          (descriptor, data, count, offset))
WRAP_FILE(int, fsync, (int descriptor), (descriptor))
WRAP_FILE(int, fdatasync, (int descriptor), (descriptor))
WRAP_FILE(int, ftruncate, (int descriptor, off_t length), (descriptor, length))
WRAP_FILE(int, ftruncate64, (int descriptor, off64_t length), (descriptor, length))

#define WRAP_PATH(name, directory, parameters, arguments)                                        \
    int name parameters {                                                                        \
        static int(*real) parameters;                                                            \
        if (!real) real = REAL(#name);                                                           \
        return fails_path(#name, directory, path) ? -1 : real arguments;                         \
    }

WRAP_PATH(mkdir, AT_FDCWD, (const char *path, mode_t mode), (path, mode))
WRAP_PATH(mkdirat, at_directory, (int at_directory, const char *path, mode_t mode),
          (at_directory, path, mode))
WRAP_PATH(rename, AT_FDCWD, (const char *from, const char *path), (from, path))
WRAP_PATH(renameat, to, (int of, const char *from, int to, const char *path), (of, from, to, path))

#define MODE                                                                                     \
    va_list rest;                                                                                \
    va_start(rest, flags);                                                                       \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                      \
    va_end(rest);

#define WRAP_OPEN(name)                                                                          \
    int name(const char *path, int flags, ...) {                                                 \
        static int (*real)(const char *, int, ...);                                              \
        MODE if (!real) real = REAL(#name);                                                      \
        if (flags & WRITES && fails_path(#name, AT_FDCWD, path)) return -1;                      \
        return real(path, flags, mode);                                                          \
    }

#define WRAP_OPENAT(name)                                                                        \
    int name(int at_directory, const char *path, int flags, ...) {                               \
        static int (*real)(int, const char *, int, ...);                                         \
        MODE if (!real) real = REAL(#name);                                                      \
        if (flags & WRITES && fails_path(#name, at_directory, path)) return -1;                  \
        return real(at_directory, path, flags, mode);                                            \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

#define WRAP_FOPEN(name)                                                                         \
    FILE *name(const char *path, const char *mode) {                                             \
        static FILE *(*real)(const char *, const char *);                                        \
        if (!real) real = REAL(#name);                                                           \
        int writes = mode[0] != 'r' || strchr(mode, '+');                                        \
        return writes && fails_path(#name, AT_FDCWD, path) ? NULL : real(path, mode);            \
    }

WRAP_FOPEN(fopen)
WRAP_FOPEN(fopen64)
