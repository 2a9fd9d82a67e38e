/* One request at a time; a connection for each. Answers with the length of the body. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile int stopping = 0;
static void stop(int number) { (void)number; stopping = 1; }

static void answer(int connection, const char *status, const char *body) {
    char text[512];
    int size = sprintf(text, "HTTP/1.0 %s\r\nContent-Type: text/plain\r\n\r\n%s", status, body);
    if (write(connection, text, size) < 0) return;
}

static void handle(int connection) {
    static char head[65536];
    int size = 0, got;
    char *end = 0, *field;
    long length = 0, rest;
    while (size < (int)sizeof head - 1 && (got = read(connection, head + size, sizeof head - 1 - size)) > 0) {
        size += got;
        head[size] = 0;
        if ((end = strstr(head, "\r\n\r\n"))) break;
    }
    if (!end) return;
    if ((field = strstr(head, "Content-Length:"))) length = atol(field + 15);
    rest = length - (size - (end + 4 - head));
    static char sink[65536];
    while (rest > 0 && (got = read(connection, sink, sizeof sink)) > 0) rest -= got;
    if (!strncmp(head, "GET /ping ", 10)) answer(connection, "200 OK", "");
    else if (!strncmp(head, "POST /invocations ", 18)) {
        char body[64];
        sprintf(body, "%ld\n", length);
        answer(connection, "200 OK", body);
    } else answer(connection, "404 Not Found", "");
}

int main(void) {
    struct sigaction action = {0};
    struct sockaddr_in address = {0};
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    action.sa_handler = stop;
    sigaction(SIGTERM, &action, 0);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    address.sin_family = AF_INET;
    address.sin_port = htons(8080);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128)) return 1;
    while (!stopping) {
        int connection = accept(listener, 0, 0);
        if (connection < 0) continue;
        handle(connection);
        close(connection);
    }
    return 0;
}
