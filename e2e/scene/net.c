/*
 * net: the roles of `actor` that talk over the network: a sink that counts and echoes, a sender of an exact number of
 * bytes, a UDP chatter, and connections that live for a few milliseconds.
 *
 * From: argv; names are resolved by the engine's DNS (busybox in the same image relies on the same static resolver).
 * To:   traffic between containers of the lab; `send` and `brief` print what they did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PEERS = 64, BLOCK = 64 * 1024 };

static char block[BLOCK];

static void die(const char *what) {
    perror(what);
    _exit(111);
}

static void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
}

/* A connected socket, or -1: whoever is called may be starting or starting again. */
static int dial(const char *host, const char *port, int type) {
    struct addrinfo want = {.ai_socktype = type}, *found, *at;
    if (getaddrinfo(host, port, &want, &found) != 0) return -1;
    int fd = -1;
    for (at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* Bound to a port on every address, IPv6 and IPv4; IPv4 alone where the kernel knows nothing else. */
static int bound(int type, int port) {
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1, fd = socket(AF_INET6, type, 0), is_six = fd >= 0;
    if (!is_six) fd = socket(AF_INET, type, 0);
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, is_six ? (void *)&six : (void *)&four, is_six ? sizeof six : sizeof four) != 0) die("bind");
    return fd;
}

/* sink PORT: over TCP reads all that comes and answers its number of bytes; over UDP sends back what came. */
static void role_sink(int port) {
    struct pollfd peers[PEERS + 2] = {{.fd = bound(SOCK_DGRAM, port), .events = POLLIN},
                                      {.fd = bound(SOCK_STREAM, port), .events = POLLIN}};
    static long long counts[PEERS + 2];
    if (listen(peers[1].fd, 16) != 0) die("listen");
    for (int i = 2; i < PEERS + 2; i++) peers[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    for (;;) {
        if (poll(peers, PEERS + 2, -1) < 0) continue;
        if (peers[0].revents != 0) {
            struct sockaddr_storage from;
            socklen_t size = sizeof from;
            ssize_t n = recvfrom(peers[0].fd, block, sizeof block, 0, (struct sockaddr *)&from, &size);
            if (n >= 0) sendto(peers[0].fd, block, n, 0, (struct sockaddr *)&from, size);
        }
        if (peers[1].revents != 0) {
            int fd = accept(peers[1].fd, NULL, NULL), i = 2;
            while (i < PEERS + 2 && peers[i].fd >= 0) i++;
            if (fd >= 0 && i < PEERS + 2) {
                peers[i].fd = fd;
                counts[i] = 0;
            } else if (fd >= 0) {
                close(fd);
            }
        }
        for (int i = 2; i < PEERS + 2; i++) {
            if (peers[i].fd < 0 || peers[i].revents == 0) continue;
            ssize_t n = read(peers[i].fd, block, sizeof block);
            if (n > 0) {
                counts[i] += n;
                continue;
            }
            if (n == 0) dprintf(peers[i].fd, "%lld\n", counts[i]);
            close(peers[i].fd);
            peers[i].fd = -1;
        }
    }
}

/* Sends exactly so many bytes (lines of the alphabet), ends its direction and waits until the sink has counted them. */
static long long deliver(int fd, long long bytes) {
    char answer[32] = "";
    for (long i = 0; i < BLOCK; i++) block[i] = i % 27 == 26 ? '\n' : (char)('a' + i % 27);
    for (long long sent = 0; sent < bytes;) {
        /* The text goes on where it stopped. */
        long long left = bytes - sent;
        ssize_t n = write(fd, block + sent % 27, left < BLOCK - 27 ? left : BLOCK - 27);
        if (n < 0 && errno != EINTR) die("write");
        if (n > 0) sent += n;
    }
    if (shutdown(fd, SHUT_WR) != 0) die("shutdown");
    for (size_t got = 0; got < sizeof answer - 1;) {
        ssize_t n = read(fd, answer + got, sizeof answer - 1 - got);
        if (n <= 0) break;
        got += n;
    }
    return strtoll(answer, NULL, 10);
}

/* send HOST PORT BYTES: prints how many arrived; fails when that is another number. */
static int role_send(const char *host, const char *port, long long bytes) {
    int fd = dial(host, port, SOCK_STREAM);
    if (fd < 0) die("connect");
    long long arrived = deliver(fd, bytes);
    close(fd);
    printf("%lld\n", arrived);
    return arrived == bytes ? 0 : 1;
}

/* chatter HOST PORT EVERY_MS BYTES: a datagram each EVERY_MS; takes the echoes. */
static void role_chatter(const char *host, const char *port, long every_ms, long bytes) {
    if (bytes < 0 || bytes > BLOCK) bytes = BLOCK;
    memset(block, 'u', sizeof block);
    for (;;) {
        int fd = dial(host, port, SOCK_DGRAM);
        /* Until nobody listens there any more: who was called may have another address then. */
        while (fd >= 0 && (send(fd, block, bytes, 0) >= 0 || errno == EINTR)) {
            sleep_ms(every_ms);
            while (recv(fd, block, sizeof block, MSG_DONTWAIT) >= 0) {}
        }
        if (fd >= 0) close(fd);
        sleep_ms(500);
    }
}

/* brief HOST PORT EVERY_MS LIFE_MS COUNT: connections that live so long, one each EVERY_MS; COUNT 0: for ever. */
static int role_brief(const char *host, const char *port, long every_ms, long life_ms, long count) {
    long made = 0;
    for (long i = 0; count == 0 || i < count; i++) {
        int fd = dial(host, port, SOCK_STREAM);
        if (fd >= 0) {
            sleep_ms(life_ms);
            made += deliver(fd, 32) == 32;
            close(fd);
        }
        sleep_ms(every_ms);
    }
    printf("%ld\n", made);
    return made == count ? 0 : 1;
}

static long number(int argc, char **argv, int at, long otherwise) {
    return at < argc ? strtol(argv[at], NULL, 10) : otherwise;
}

/* Plays a role of the network; -1 when it is none, else the exit code. */
int network_role(const char *role, int argc, char **argv) {
    const char *host = argc > 1 ? argv[1] : "store", *port = argc > 2 ? argv[2] : "9000";
    if (strcmp(role, "sink") == 0) role_sink((int)number(argc, argv, 1, 9000));
    if (strcmp(role, "send") == 0) return role_send(host, port, argc > 3 ? strtoll(argv[3], NULL, 10) : 1);
    if (strcmp(role, "chatter") == 0)
        role_chatter(host, port, number(argc, argv, 3, 100), number(argc, argv, 4, 120));
    if (strcmp(role, "brief") == 0)
        return role_brief(host, port, number(argc, argv, 3, 500), number(argc, argv, 4, 5),
                          number(argc, argv, 5, 0));
    return -1;
}
