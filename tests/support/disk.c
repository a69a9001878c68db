// The disk and the clock of a program under test, loaded into it with LD_PRELOAD: logs what it does to the files of one
// directory, refuses some of that on command, and shifts the time. tests/support/disk.rs is its other half.
//
// DISK_DIR names the directory (its *-shm files apart: SQLite makes them anew), DISK_CONTROL a file that holds a `struct
// control`, DISK_LOG the log, which may be absent. Everything is done by system calls of our own: no other libc is asked.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, NAME = 4 };            // classes of operations
enum { FAILS = 1, FULL = 2, HALF = 3 };            // EIO; ENOSPC; half of the first write, then ENOSPC

// Shared with the test, which writes all but the last two.
static volatile struct control {
    uint64_t first, last, kind, classes;           // refuses the operations from `first` to `last`; 0: none
    int64_t shift;                                 // seconds
    uint64_t done, refused;                        // counts operations from 1; how many of them were refused
} *control;

static const char *directory;
static int log_fd = -1;
static char ours[4096];                            // by descriptor: whether it is open in the directory
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void note(char what, int fd, uint64_t at, const void *data, uint64_t size)
{
    struct { uint32_t what; int32_t fd; uint64_t at, size; } head = { what, fd, at, size };
    struct iovec parts[2] = { { &head, sizeof head }, { (void *)data, size } };
    if (log_fd >= 0 && syscall(SYS_writev, log_fd, parts, size ? 2 : 1) != (long)(sizeof head + size))
        abort(); // a log with a hole proves nothing
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISK_CONTROL"), *log = getenv("DISK_LOG");
    int fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    syscall(SYS_close, fd);
    control = map;
    if (log)
        log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC);
    note('B', -1, 0, NULL, 0);
    directory = getenv("DISK_DIR");
}

// The name of a file in our directory, "" for the directory itself; NULL: somewhere else.
static const char *name_of(const char *path)
{
    size_t length = directory ? strlen(directory) : 0;
    if (!length || strncmp(path, directory, length) || (path[length] && path[length] != '/'))
        return NULL;
    path += length + (path[length] == '/');
    length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, "-shm") ? NULL : path;
}

static int is_ours(int fd)
{
    return fd >= 0 && fd < (int)sizeof ours && ours[fd];
}

// Counts an operation; whether it is refused. Of the first write in question half may be done.
static int refused(unsigned class, size_t *size)
{
    uint64_t number = ++control->done;
    if (!control->first || number < control->first || number > control->last || !(control->classes & class))
        return 0;
    control->refused++;
    if (control->kind == HALF && number == control->first && class == WRITE && *size > 1) {
        *size /= 2;
        return 0;
    }
    errno = control->kind == FAILS ? EIO : ENOSPC;
    return 1;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    const char *name = name_of(path);
    if (!name)
        return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    pthread_mutex_lock(&lock);
    int fd = refused(NAME, NULL) ? -1 : syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < (int)sizeof ours) {
        ours[fd] = 1;
        note('O', fd, (flags & O_TRUNC) != 0, name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int close(int fd)
{
    if (!is_ours(fd))
        return syscall(SYS_close, fd);
    pthread_mutex_lock(&lock);
    note('C', fd, 0, NULL, 0);
    ours[fd] = 0;
    int done = syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    if (!is_ours(fd))
        return syscall(SYS_pwrite64, fd, data, size, at);
    pthread_mutex_lock(&lock);
    ssize_t done = refused(WRITE, &size) ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
    if (done > 0)
        note('W', fd, at, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));

ssize_t write(int fd, const void *data, size_t size)
{
    if (!is_ours(fd))
        return syscall(SYS_write, fd, data, size);
    off_t at = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t done = pwrite(fd, data, size, at);
    if (done > 0)
        syscall(SYS_lseek, fd, at + done, SEEK_SET);
    return done;
}

int ftruncate(int fd, off_t size)
{
    if (!is_ours(fd))
        return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    size_t nothing = 0;
    int done = refused(WRITE, &nothing) ? -1 : syscall(SYS_ftruncate, fd, size);
    if (!done)
        note('T', fd, size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

static int sync_by(long call, int fd)
{
    if (!is_ours(fd))
        return syscall(call, fd);
    pthread_mutex_lock(&lock);
    int done = refused(SYNC, NULL) ? -1 : syscall(call, fd);
    if (!done)
        note('S', fd, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return sync_by(SYS_fsync, fd); }

int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }

int unlink(const char *path)
{
    const char *name = name_of(path);
    if (!name)
        return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int done = refused(NAME, NULL) ? -1 : syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!done)
        note('U', -1, 0, name, strlen(name));
    pthread_mutex_unlock(&lock);
    return done;
}

int rename(const char *from, const char *to)
{
    const char *old = name_of(from), *new = name_of(to);
    if (!old || !new)
        return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    pthread_mutex_lock(&lock);
    int done = refused(NAME, NULL) ? -1 : syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!done) {
        note('N', -1, 0, old, strlen(old));
        note('R', -1, 0, new, strlen(new));
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int done = syscall(SYS_clock_gettime, clock, time);
    if (!done && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += control->shift;
    return done;
}

int gettimeofday(struct timeval *time, void *zone)
{
    struct timespec now;
    (void)zone;
    int done = clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return done;
}

time_t time(time_t *seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}
