// A network's: datagrams that fill a frame, there and back, one at a time; and a stream, in writes
// of 64 KiB.

#include "tests/bench/io.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT     7000
#define DATAGRAM 1472
#define WARM_UP  20
#define LOST     600 // answers that may be missing: the other VM still boots
#define WAIT     100000
#define CHUNK    65536
#define MIB      (1 << 20)
#define MIBS     16

static uint8_t bytes[4 * CHUNK];

static struct sockaddr_in address(const char *host)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    at.sin_addr.s_addr = host ? inet_addr(host) : INADDR_ANY;
    return at;
}

static int connect_to(const char *server, int kind)
{
    struct sockaddr_in at = address(server);
    int fd = socket(AF_INET, kind, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
        fail("connect");
    return fd;
}

static int bind_to(int kind)
{
    struct sockaddr_in at = address(NULL);
    int fd = socket(AF_INET, kind, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
        fail("bind");
    return fd;
}

static void send_datagrams(const char *server)
{
    struct timeval limit = {.tv_usec = WAIT};
    int fd = connect_to(server, SOCK_DGRAM);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    for (unsigned i = 0, lost = 0; i < WARM_UP + SAMPLES;) {
        uint64_t start = ticks();
        (void)send(fd, bytes, DATAGRAM, 0); // it fails while nobody is there
        if (recv(fd, bytes, sizeof(bytes), 0) == DATAGRAM) {
            if (i++ >= WARM_UP)
                samples[i - 1 - WARM_UP] = ticks() - start;
        } else if (++lost == LOST || i) {
            fail("a datagram is lost");
        }
    }
    tell("net_udp_rtt", SAMPLES, 1);
}

// The first MiB, and the connection, are not counted.
static void send_stream(const char *server)
{
    int fd = connect_to(server, SOCK_STREAM);
    uint64_t start = 0;
    for (uint64_t sent = 0; sent < (MIBS + 1) * (uint64_t)MIB; sent += CHUNK) {
        if (sent == MIB)
            start = ticks();
        if (write(fd, bytes, CHUNK) != CHUNK)
            fail("write");
    }
    shutdown(fd, SHUT_WR);
    if (read(fd, bytes, 1) != 1)
        fail("no answer");
    samples[0] = ticks() - start;
    tell("net_tcp_mib", 1, MIBS);
}

void measure_network(const char *server)
{
    send_datagrams(server);
    send_stream(server);
}

static void answer_datagrams(void)
{
    struct sockaddr_in from;
    int fd = bind_to(SOCK_DGRAM);
    for (;;) {
        socklen_t size = sizeof(from);
        ssize_t got = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size);
        if (got > 0)
            sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, size);
    }
}

// Until one stream has ended.
void serve_network(void)
{
    int listener = bind_to(SOCK_STREAM);
    if (listen(listener, 1) != 0)
        fail("listen");
    if (fork() == 0)
        answer_datagrams();
    int fd = accept(listener, NULL, NULL);
    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
    if (write(fd, bytes, 1) != 1)
        fail("answer");
    sleep(1); // it comes there
}
