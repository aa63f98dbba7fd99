/*
 * A preloaded library that counts the system calls of a process on files at or below one place, and
 * lets one of them, or all from one on, fail.
 *
 * Calls are identified by kind: the function's name without "64", "at" and the like; "open" is split
 * into open-read, open-write and open-create. Nothing is counted before arm().
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum action { PASS, KILL, FAIL, STOP, TEAR, SHORT, LATE };

static char place[PATH_MAX];
static char kinds[4096]; /* the kinds to count, each between blanks; empty for all */
static int armed, action, code, onward, calls_fd;
static long at, count;

/* `at` counts from 1. For the effect, see act(). */
void arm(const char *where, const char *which, long n, int what, int error, int ever, int log)
{
    snprintf(place, sizeof place, "%s", where);
    snprintf(kinds, sizeof kinds, "%s", which);
    at = n, action = what, code = error, onward = ever, calls_fd = log;
    armed = 1;
}

static int is_below(const char *path)
{
    size_t length = strlen(place);
    return path && !strncmp(path, place, length) && (path[length] == '/' || !path[length]);
}

static const char *path_of(int fd)
{
    static __thread char path[PATH_MAX];
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlink, link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static const char *path_at(int fd, const char *path)
{
    return path && path[0] != '/' && fd != AT_FDCWD ? path_of(fd) : path;
}

static int counts(const char *kind)
{
    char word[64];
    snprintf(word, sizeof word, " %s ", kind);
    return !*kinds || strstr(kinds, word);
}

/* The effect on this call: FAIL, TEAR, SHORT and LATE are left to the caller. */
static enum action act(const char *kind, const char *path)
{
    int before = errno;
    if (!armed || !is_below(path) || !counts(kind)) {
        errno = before;
        return PASS;
    }
    long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s\t%s\n", kind, path);
    syscall(SYS_write, calls_fd, line, (size_t)length);
    errno = before;
    if (number != at && !(onward && number > at))
        return PASS;
    if (action == KILL || action == STOP) {
        kill(getpid(), action == KILL ? SIGKILL : SIGSTOP);
        return PASS;
    }
    return (enum action)action;
}

#define REAL(result, name, parameters)                                                             \
    static result(*real) parameters;                                                               \
    if (!real)                                                                                     \
        *(void **)&real = dlsym(RTLD_NEXT, #name);

#define END(failed, call)                                                                          \
    if (now == LATE)                                                                               \
        (void)(call);                                                                              \
    if (now == FAIL || now == LATE) {                                                              \
        errno = code;                                                                              \
        return failed;                                                                             \
    }                                                                                              \
    return call;

#define WRAP(result, failed, name, kind, path, parameters, arguments)                              \
    result name parameters                                                                         \
    {                                                                                              \
        REAL(result, name, parameters)                                                             \
        enum action now = armed ? act(kind, path) : PASS;                                          \
        END(failed, real arguments)                                                                \
    }

/* A call that writes `size` bytes: TEAR writes half, then kills; SHORT writes half. */
#define MOVE(name, kind, path, parameters, arguments)                                              \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        REAL(ssize_t, name, parameters)                                                            \
        enum action now = armed ? act(kind, path) : PASS;                                          \
        if (now == TEAR || now == SHORT)                                                           \
            size = (size + 1) / 2;                                                                 \
        if (now == TEAR) {                                                                         \
            (void)!real arguments;                                                                 \
            kill(getpid(), SIGKILL);                                                               \
        }                                                                                          \
        END(-1, real arguments)                                                                    \
    }

static const char *open_kind(int flags)
{
    if (flags & (O_CREAT | O_TRUNC))
        return "open-create";
    return (flags & O_ACCMODE) == O_RDONLY ? "open-read" : "open-write";
}

#define OPEN(name, parameters, arguments, path)                                                    \
    int name parameters                                                                            \
    {                                                                                              \
        REAL(int, name, parameters)                                                                \
        mode_t mode = 0;                                                                           \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                       \
            va_list rest;                                                                          \
            va_start(rest, flags);                                                                 \
            mode = va_arg(rest, mode_t);                                                           \
            va_end(rest);                                                                          \
        }                                                                                          \
        enum action now = armed ? act(open_kind(flags), path) : PASS;                              \
        END(-1, real arguments)                                                                    \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(openat, (int fd, const char *path, int flags, ...), (fd, path, flags, mode),
     path_at(fd, path))
OPEN(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, mode),
     path_at(fd, path))

MOVE(write, "write", path_of(fd), (int fd, const void *data, size_t size), (fd, data, size))
MOVE(pwrite64, "write", path_of(fd), (int fd, const void *data, size_t size, off64_t offset),
     (fd, data, size, offset))
MOVE(sendfile64, "sendfile", path_of(out), (int out, int in, off64_t *offset, size_t size),
     (out, in, offset, size))
MOVE(copy_file_range, "copy_file_range", path_of(out),
     (int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags),
     (in, from, out, to, size, flags))
MOVE(read, "read", path_of(fd), (int fd, void *data, size_t size), (fd, data, size))
MOVE(pread64, "read", path_of(fd), (int fd, void *data, size_t size, off64_t offset),
     (fd, data, size, offset))

int close(int fd)
{
    REAL(int, close, (int fd))
    enum action now = armed ? act("close", path_of(fd)) : PASS;
    if (now == FAIL)
        now = LATE; /* a descriptor is closed even if close() fails */
    END(-1, real(fd))
}

#define INT(name, kind, path, parameters, arguments)                                               \
    WRAP(int, -1, name, kind, path, parameters, arguments)

INT(ftruncate64, "truncate", path_of(fd), (int fd, off64_t size), (fd, size))
INT(fsync, "fsync", path_of(fd), (int fd), (fd))
INT(fdatasync, "fsync", path_of(fd), (int fd), (fd))
INT(flock, "flock", path_of(fd), (int fd, int how), (fd, how))
INT(rename, "rename", new, (const char *old, const char *new), (old, new))
INT(renameat, "rename", path_at(to, new), (int from, const char *old, int to, const char *new),
    (from, old, to, new))
INT(renameat2, "rename", path_at(to, new),
    (int from, const char *old, int to, const char *new, unsigned flags),
    (from, old, to, new, flags))
INT(link, "link", new, (const char *old, const char *new), (old, new))
INT(linkat, "link", path_at(to, new),
    (int from, const char *old, int to, const char *new, int flags), (from, old, to, new, flags))
INT(unlink, "unlink", path, (const char *path), (path))
INT(unlinkat, "unlink", path_at(fd, path), (int fd, const char *path, int flags),
    (fd, path, flags))
INT(mkdir, "mkdir", path, (const char *path, mode_t mode), (path, mode))
INT(chmod, "chmod", path, (const char *path, mode_t mode), (path, mode))
INT(fchmod, "chmod", path_of(fd), (int fd, mode_t mode), (fd, mode))
INT(fchmodat, "chmod", path_at(fd, path), (int fd, const char *path, mode_t mode, int flags),
    (fd, path, mode, flags))
INT(chown, "chown", path, (const char *path, uid_t user, gid_t group), (path, user, group))
INT(fchown, "chown", path_of(fd), (int fd, uid_t user, gid_t group), (fd, user, group))
INT(fchownat, "chown", path_at(fd, path),
    (int fd, const char *path, uid_t user, gid_t group, int flags), (fd, path, user, group, flags))
INT(utimensat, "utime", path_at(fd, path),
    (int fd, const char *path, const struct timespec times[2], int flags), (fd, path, times, flags))
INT(futimens, "utime", path_of(fd), (int fd, const struct timespec times[2]), (fd, times))
INT(setxattr, "setxattr", path,
    (const char *path, const char *name, const void *value, size_t size, int flags),
    (path, name, value, size, flags))
INT(fsetxattr, "setxattr", path_of(fd),
    (int fd, const char *name, const void *value, size_t size, int flags),
    (fd, name, value, size, flags))
INT(removexattr, "setxattr", path, (const char *path, const char *name), (path, name))
WRAP(ssize_t, -1, getxattr, "getxattr", path,
     (const char *path, const char *name, void *value, size_t size), (path, name, value, size))
WRAP(ssize_t, -1, listxattr, "getxattr", path, (const char *path, char *names, size_t size),
     (path, names, size))
INT(stat64, "stat", path, (const char *path, struct stat64 *status), (path, status))
INT(lstat64, "stat", path, (const char *path, struct stat64 *status), (path, status))
INT(fstat64, "stat", path_of(fd), (int fd, struct stat64 *status), (fd, status))
INT(fstatat64, "stat", path_at(fd, path),
    (int fd, const char *path, struct stat64 *status, int flags), (fd, path, status, flags))
INT(statvfs64, "statvfs", path, (const char *path, struct statvfs64 *status), (path, status))
INT(access, "access", path, (const char *path, int mode), (path, mode))
INT(faccessat, "access", path_at(fd, path), (int fd, const char *path, int mode, int flags),
    (fd, path, mode, flags))
WRAP(DIR *, NULL, opendir, "opendir", path, (const char *path), (path))

int ioctl(int fd, unsigned long request, ...)
{
    REAL(int, ioctl, (int fd, unsigned long request, ...))
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    enum action now = armed && request == FICLONE ? act("clone", path_of(fd)) : PASS;
    END(-1, real(fd, request, argument))
}
