// A program for two Linux guests on one network: bytes by TCP in both directions and datagrams by
// UDP, each of them known to who gets it, and the number of a card's queues. Run by
// tests/system/cases_network.py:
//
//     network serve                    # for ever
//     network down|up HOST MIB         # from and to a server
//     network udp HOST COUNT BYTES     # datagrams that come back
//     network channels CARD COUNT      # pairs of queues
//
// It prints "ok", or what is wrong.

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT  7000
#define CHUNK 65536
#define MIB   (1 << 20)

static uint64_t chunk[CHUNK / 8], wanted[CHUNK / 8];

static void die(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

// What stands at the place of a stream.
static void fill(uint64_t *words, uint64_t at, size_t bytes)
{
    for (size_t i = 0; i < (bytes + 7) / 8; i++)
        words[i] = (at / 8 + i) * 0x9e3779b97f4a7c15 ^ at >> 20;
}

static struct sockaddr_in address(const char *host)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    at.sin_addr.s_addr = host ? inet_addr(host) : INADDR_ANY;
    return at;
}

static void all(ssize_t (*move)(int, void *, size_t), int fd, void *bytes, size_t count)
{
    for (size_t done = 0; done < count;) {
        ssize_t got = move(fd, (char *)bytes + done, count - done);
        if (got <= 0)
            die(got ? "connection" : "connection ended");
        done += (size_t)got;
    }
}

static ssize_t put(int fd, void *bytes, size_t count)
{
    return write(fd, bytes, count);
}

static void send_stream(int fd, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += CHUNK) {
        fill(chunk, at, CHUNK);
        all(put, fd, chunk, CHUNK);
    }
}

static void check_stream(int fd, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += CHUNK) {
        fill(wanted, at, CHUNK);
        all(read, fd, chunk, CHUNK);
        if (memcmp(chunk, wanted, CHUNK) != 0) {
            printf("wrong bytes in the %llu KiB behind %llu KiB\n", CHUNK / 1024ULL,
                   (unsigned long long)at / 1024);
            exit(1);
        }
    }
}

// What a client asks for; and that all of it came well.
struct request {
    uint64_t bytes;
    uint64_t is_up;
};

static void answer(int fd)
{
    struct request request;
    all(read, fd, &request, sizeof(request));
    if (request.is_up)
        check_stream(fd, request.bytes);
    else
        send_stream(fd, request.bytes);
    all(put, fd, &request, sizeof(request));
}

static void serve_datagrams(void)
{
    struct sockaddr_in at = address(NULL), from;
    socklen_t size = sizeof(from);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
        die("bind");
    for (;; size = sizeof(from)) {
        ssize_t got = recvfrom(fd, chunk, sizeof(chunk), 0, (struct sockaddr *)&from, &size);
        if (got >= 0)
            sendto(fd, chunk, (size_t)got, 0, (struct sockaddr *)&from, size);
    }
}

static void serve(void)
{
    struct sockaddr_in at = address(NULL);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 8))
        die("listen");
    if (fork() == 0)
        serve_datagrams();
    for (int client; (client = accept(fd, NULL, NULL)) >= 0; close(client)) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (fork() == 0) {
            answer(client);
            exit(0);
        }
    }
}

static int connect_to(const char *host, int kind)
{
    struct sockaddr_in at = address(host);
    int fd = socket(AF_INET, kind, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)))
        die("connect");
    return fd;
}

static void stream(const char *host, uint64_t bytes, int is_up)
{
    struct request request = {bytes, is_up}, back;
    int fd = connect_to(host, SOCK_STREAM);
    all(put, fd, &request, sizeof(request));
    if (is_up)
        send_stream(fd, bytes);
    else
        check_stream(fd, bytes);
    all(read, fd, &back, sizeof(back));
}

static void datagrams(const char *host, unsigned count, size_t bytes)
{
    struct timeval limit = {.tv_sec = 5};
    int fd = connect_to(host, SOCK_DGRAM);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    for (unsigned i = 0; i < count; i++) {
        fill(wanted, (uint64_t)i * CHUNK, bytes);
        if (send(fd, wanted, bytes, 0) != (ssize_t)bytes)
            die("send");
        if (recv(fd, chunk, sizeof(chunk), 0) != (ssize_t)bytes)
            die("receive");
        if (memcmp(chunk, wanted, bytes) != 0) {
            printf("wrong bytes in datagram %u\n", i);
            exit(1);
        }
    }
}

static void channels(const char *card, unsigned count)
{
    struct ethtool_channels pairs = {.cmd = ETHTOOL_GCHANNELS};
    struct ifreq request = {.ifr_data = (void *)&pairs};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", card);
    if (ioctl(fd, SIOCETHTOOL, &request))
        die("get channels");
    pairs.cmd = ETHTOOL_SCHANNELS;
    pairs.combined_count = count;
    if (ioctl(fd, SIOCETHTOOL, &request))
        die("set channels");
}

int main(int count, char **word)
{
    const char *what = count > 1 ? word[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "serve") == 0)
        serve();
    else if (count == 4 && (strcmp(what, "down") == 0 || strcmp(what, "up") == 0))
        stream(word[2], strtoull(word[3], NULL, 0) * MIB, what[0] == 'u');
    else if (count == 5 && strcmp(what, "udp") == 0)
        datagrams(word[2], (unsigned)atoi(word[3]), (size_t)atoi(word[4]));
    else if (count == 4 && strcmp(what, "channels") == 0)
        channels(word[2], (unsigned)atoi(word[3]));
    else
        die("usage");
    printf("ok\n");
    return 0;
}
