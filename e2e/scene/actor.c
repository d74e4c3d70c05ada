/*
 * actor: the one program behind the lab's containers. It puts processes into the states the agent must tell
 * apart (zombie, stopped, uninterruptible, many threads, other user, hostile names) and keeps them there.
 *
 * From: argv; the role is the base name of argv[0] (the image has a symlink per role) or, called as `actor`, argv[1].
 * To:   nothing but its own process table entries, and the journal file of `writer`. Roles that talk are in net.c.
 *
 * Every process ends by itself after LAB_SECONDS (default 7200), so a forgotten lab goes quiet.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned life_secs = 7200;

/* Of net.c: -1 when it has no such role, else the exit code. */
int network_role(const char *role, int argc, char **argv);

static void die(const char *what) {
    perror(what);
    _exit(111);
}

static void end_of_life(int sig) {
    (void)sig;
    _exit(0);
}

/* alarm() is not inherited over fork, so each process calls this for itself. A handler is needed because the
 * kernel ignores signals with the default action for pid 1 of a namespace. */
static void bound_life(void) {
    signal(SIGALRM, end_of_life);
    alarm(life_secs);
}

/* pid 1 of a namespace ignores SIGTERM without a handler; with one `docker stop` is quick. */
static void end_on_term(void) { signal(SIGTERM, end_of_life); }

static void idle(void) {
    for (;;) pause();
}

static long number(int argc, char **argv, int at, long otherwise) {
    return at < argc ? strtol(argv[at], NULL, 10) : otherwise;
}

static pid_t must_fork(void) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) bound_life();
    return pid;
}

static void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
}

static long long now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Uses one part in a hundred of a CPU: 1 ms of work, 99 ms of sleep. */
static void burn_lightly(void) {
    for (;;) {
        long long until = now_ns(CLOCK_THREAD_CPUTIME_ID) + 1000000LL;
        while (now_ns(CLOCK_THREAD_CPUTIME_ID) < until) {}
        sleep_ms(99);
    }
}

static void *thread_body(void *arg) {
    (void)arg;
    idle();
    return NULL;
}

/* threads N: one process, N threads. */
static void role_threads(long n) {
    pthread_attr_t attr;
    pthread_t id;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    for (long i = 1; i < n; i++)
        if (pthread_create(&id, &attr, thread_body, NULL) != 0) die("pthread_create");
    idle();
}

static void spawn(char *const argv[], uid_t uid) {
    if (must_fork() != 0) return;
    if (uid != 0 && (setgid(uid) != 0 || setuid(uid) != 0)) die("setuid");
    execv("/bin/actor", argv);
    die("execv");
}

/* worker: a parent with six children; one has four threads, one belongs to user 1000, one works a little. */
static void role_worker(void) {
    spawn((char *[]){"threads", "4", NULL}, 0);
    spawn((char *[]){"idle", "as-app", NULL}, 1000);
    spawn((char *[]){"busy", NULL}, 0);
    spawn((char *[]){"idle", "a", NULL}, 0);
    spawn((char *[]){"idle", "b", NULL}, 0);
    spawn((char *[]){"idle", "c", NULL}, 0);
    idle();
}

/* zombie: a child that has exited and is never waited for. */
static void role_zombie(void) {
    if (must_fork() == 0) {
        prctl(PR_SET_NAME, "never-reaped");
        _exit(0);
    }
    idle();
}

/* stopped: a child that got SIGSTOP (pid 1 of a namespace cannot stop itself). */
static void role_stopped(void) {
    pid_t pid = must_fork();
    if (pid == 0) idle();
    if (kill(pid, SIGSTOP) != 0) die("kill");
    idle();
}

/* dstate: a vfork parent waits uninterruptibly (state D, killable) for as long as its child lives without exec. */
static void role_dstate(void) {
    if (must_fork() == 0) {
        prctl(PR_SET_NAME, "vfork-parent");
        unsigned nap = life_secs;
        pid_t pid = vfork();
        if (pid == 0) {
            while (nap > 0) nap = sleep(nap);
            _exit(0);
        }
        idle();
    }
    idle();
}

/* writer FILE [MIB]: writes and fsyncs MIB each second, wrapping after 8 MiB. */
static void role_writer(const char *file, long mib) {
    static char block[1 << 20];
    int fd = open(file, O_CREAT | O_RDWR, 0644);
    if (fd < 0) die("open");
    for (long at = 0;; at++) {
        for (long i = 0; i < mib; i++) {
            memset(block, (int)(at + i) & 0xff, sizeof block);
            if (pwrite(fd, block, sizeof block, ((at * mib + i) % 8) << 20) < 0) die("pwrite");
        }
        if (fsync(fd) != 0) die("fsync");
        sleep_ms(1000);
    }
}

/* eat MIB: takes memory and touches it. */
static void eat(long mib) {
    for (long i = 0; i < mib; i++) {
        char *p = malloc(1 << 20);
        if (p == NULL) die("malloc");
        memset(p, 1, 1 << 20);
    }
}

/* crowd N BUSY: N children, the first BUSY of which use 1 % of a CPU each. */
static void role_crowd(long n, long busy) {
    for (long i = 0; i < n; i++) {
        if (must_fork() != 0) continue;
        if (i < busy) burn_lightly();
        idle();
    }
    idle();
}

/* spawner RATE SECONDS: RATE short-lived processes (fork, exec, exit) each second. */
static void role_spawner(long rate, long seconds) {
    if (rate < 1) rate = 1;
    long long start = now_ns(CLOCK_MONOTONIC);
    for (long i = 0; i < rate * seconds; i++) {
        pid_t pid = must_fork();
        if (pid == 0) {
            execl("/bin/true", "true", "short-lived", NULL);
            _exit(127);
        }
        waitpid(pid, NULL, 0);
        long long due = start + (i + 1) * (1000000000LL / rate);
        long long left = due - now_ns(CLOCK_MONOTONIC);
        if (left > 0) sleep_ms(left / 1000000);
    }
}

/* hostile: children whose argv and comm try to break parsers, terminals and pages. */
static void role_hostile(void) {
    if (must_fork() == 0) {
        execv("/bin/actor", (char *[]){"idle", "bad-utf8:\xff\xfe\xc3(", "two\nlines\ttab\x1b[31mred",
                                       "<img src=x onerror=alert(1)>", "\xe2\x80\xae" "gnp.exe", "", NULL});
        die("execv");
    }
    if (must_fork() == 0) {
        prctl(PR_SET_NAME, "x) R 1 (<b>\n\xff");
        idle();
    }
    idle();
}

/* keeper PROGRAM…: starts each program given as `PROGRAM idle`, then stays as their parent. */
static void role_keeper(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (must_fork() != 0) continue;
        execl(argv[i], "idle", argv[i], NULL);
        die("execl");
    }
    idle();
}

int main(int argc, char **argv) {
    const char *life = getenv("LAB_SECONDS");
    if (life != NULL && strtol(life, NULL, 10) > 0) life_secs = (unsigned)strtol(life, NULL, 10);
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *role = slash ? slash + 1 : (argc > 0 ? argv[0] : "");
    if (strcmp(role, "actor") == 0 && argc > 1) {
        argc--, argv++;
        role = argv[0];
    }
    bound_life();
    end_on_term();
    /* comm is the file name the kernel was given, "actor" after execv above; the role says more. */
    prctl(PR_SET_NAME, role);

    if (strcmp(role, "idle") == 0) idle();
    if (strcmp(role, "busy") == 0) burn_lightly();
    if (strcmp(role, "threads") == 0) role_threads(number(argc, argv, 1, 4));
    if (strcmp(role, "worker") == 0) role_worker();
    if (strcmp(role, "zombie") == 0) role_zombie();
    if (strcmp(role, "stopped") == 0) role_stopped();
    if (strcmp(role, "dstate") == 0) role_dstate();
    if (strcmp(role, "writer") == 0) role_writer(argc > 1 ? argv[1] : "/data/journal", number(argc, argv, 2, 2));
    if (strcmp(role, "crowd") == 0) role_crowd(number(argc, argv, 1, 10), number(argc, argv, 2, 0));
    if (strcmp(role, "hostile") == 0) role_hostile();
    if (strcmp(role, "keeper") == 0) role_keeper(argc, argv);
    if (strcmp(role, "eater") == 0) {
        eat(number(argc, argv, 1, 16));
        idle();
    }
    if (strcmp(role, "spinner") == 0) {
        eat(number(argc, argv, 1, 16));
        for (;;) {}
    }
    if (strcmp(role, "spawner") == 0) {
        role_spawner(number(argc, argv, 1, 50), number(argc, argv, 2, 600));
        return 0;
    }
    int code = network_role(role, argc, argv);
    if (code >= 0) return code;
    fprintf(stderr, "actor: no role '%s'\n", role);
    return 2;
}
