// usage: qmp_server SOCKET [RIGHT]
//
// Serves QMP of the desk's VM `web` on a UNIX socket, to four clients at a time, until it is
// killed: stock clients are tried against it. RIGHT: 1 observe, 2 operate (the default), 3 take.

#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor/qmp.h"
#include "tests/unit/desk.h"

#define CLIENTS 4
#define RING    16384

static struct client {
    int socket; // -1: nobody
    struct stream stream;
    uint8_t rings[2 * RING];
    struct qmp qmp;
} clients[CLIENTS];

static void release(struct stream *stream)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    close(client->socket);
    client->socket = -1;
}

static void wake(struct news_reader *reader)
{
    (void)reader; // all are looked at, always
}

static void begin(struct client *client, int socket, enum right right)
{
    client->socket = socket;
    (void)fcntl(socket, F_SETFL, O_NONBLOCK);
    stream_init(&client->stream, client->rings, RING, release);
    client->qmp.reader.wake = wake;
    qmp_begin(&client->qmp, &desk_host, 0, right, &client->stream.end[1]);
}

// Bytes between the socket and the stream, as far as they go.
static void move_bytes(struct client *client)
{
    struct stream_end *end = &client->stream.end[0];
    uint8_t *to;
    const uint8_t *from;
    uint64_t room = stream_room(end, &to), there;
    ssize_t length = room ? read(client->socket, to, room) : -1;
    if (length > 0)
        stream_gave(end, (uint64_t)length);
    else if (length == 0)
        stream_finish(end);
    while ((there = stream_piece(end, &from)) &&
           (length = send(client->socket, from, there, MSG_NOSIGNAL)) > 0)
        stream_took(end, (uint64_t)length);
    if (there && length < 0 && errno != EAGAIN)
        stream_deafen(end);
}

static void serve(struct client *client)
{
    enum qmp_state state;
    move_bytes(client);
    while ((state = qmp_step(&client->qmp)) == QMP_GOES_ON)
        move_bytes(client);
    move_bytes(client);
    if (state != QMP_HAS_ENDED)
        return;
    qmp_end(&client->qmp);
    stream_close(&client->stream.end[1]);
    stream_close(&client->stream.end[0]);
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    enum right right = argc > 2 ? (enum right)atoi(argv[2]) : RIGHT_OPERATE;
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    if (argc < 2 || strlen(argv[1]) >= sizeof(address.sun_path))
        return 2;
    strcpy(address.sun_path, argv[1]);
    desk_reset();
    desk.listens = true;
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i].socket = -1;
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) || listen(server, CLIENTS))
        return 1;
    for (;;) {
        struct pollfd waits[CLIENTS + 1] = {{server, POLLIN, 0}};
        for (unsigned i = 0; i < CLIENTS; i++)
            waits[i + 1] = (struct pollfd){clients[i].socket, POLLIN, 0};
        poll(waits, CLIENTS + 1, 20);
        for (unsigned i = 0; i < CLIENTS; i++)
            if (clients[i].socket >= 0) {
                serve(&clients[i]);
            } else if (waits[0].revents & POLLIN) {
                begin(&clients[i], accept(server, NULL, NULL), right);
                waits[0].revents = 0;
            }
        desk.asked[0] = 0;
    }
}
