/*
 * A plain TCP relay, the bound that no proxy of three hops can pass: a thread a connection and direction, read and write of
 * 64 KiB, no encryption, no parsing.
 *
 *   relay LISTEN_ADDRESS LISTEN_PORT TARGET_ADDRESS TARGET_PORT     (IPv4; prints "listening" once it does)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { buffer_bytes = 64 * 1024, backlog = 1024, stack_bytes = 256 * 1024 };

static struct sockaddr_in target;

struct direction {
	int from;
	int to;
};

static void fail(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int write_all(int to, const char *data, ssize_t length)
{
	while (length > 0) {
		ssize_t written = write(to, data, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return -1;
		data += written;
		length -= written;
	}
	return 0;
}

/* Copies until the end of file, and passes that on as a half close. */
static void *copy(void *argument)
{
	struct direction *d = argument;
	char data[buffer_bytes];

	for (;;) {
		ssize_t got = read(d->from, data, sizeof data);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || write_all(d->to, data, got) < 0)
			break;
	}
	shutdown(d->to, SHUT_WR);
	shutdown(d->from, SHUT_RD);
	return NULL;
}

static void *serve(void *argument)
{
	int client = (int)(long)argument;
	int one = 1;
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (server >= 0 && connect(server, (struct sockaddr *)&target, sizeof target) == 0) {
		struct direction back = { server, client };
		struct direction there = { client, server };
		pthread_t thread;

		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (pthread_create(&thread, NULL, copy, &back) == 0) {
			copy(&there);
			pthread_join(thread, NULL);
		}
	}
	if (server >= 0)
		close(server);
	close(client);
	return NULL;
}

static struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		fprintf(stderr, "relay: %s is no IPv4 address\n", ip);
		exit(1);
	}
	return a;
}

int main(int argc, char **argv)
{
	int one = 1;
	struct sockaddr_in here;
	pthread_attr_t detached;

	if (argc != 5) {
		fprintf(stderr, "usage: relay LISTEN_ADDRESS LISTEN_PORT TARGET_ADDRESS TARGET_PORT\n");
		return 2;
	}
	here = address(argv[1], argv[2]);
	target = address(argv[3], argv[4]);
	signal(SIGPIPE, SIG_IGN);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&detached, stack_bytes);

	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		fail("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0)
		fail("bind");
	if (listen(listener, backlog) < 0)
		fail("listen");
	puts("listening");
	fflush(stdout);

	for (;;) {
		int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (client < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			fail("accept");
		}
		if (pthread_create(&thread, &detached, serve, (void *)(long)client) != 0)
			close(client);
	}
}
