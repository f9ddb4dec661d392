/* A pod's only program: `probe ADDRESS PORT TIMES` counts the connections that are taken. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int connects(const struct sockaddr_in *to) {
  int failed = 1, link = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct pollfd ready = {.fd = link, .events = POLLOUT};
  socklen_t size = sizeof failed;
  connect(link, (const struct sockaddr *)to, sizeof *to);
  if (poll(&ready, 1, 500) == 1) getsockopt(link, SOL_SOCKET, SO_ERROR, &failed, &size);
  close(link);
  return !failed;
}

int main(int count, char **words) {
  if (count != 4) return 2;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
  if (inet_pton(AF_INET, words[1], &to.sin_addr) != 1) return 2;
  int taken = 0, times = atoi(words[3]);
  for (int i = 0; i < times; i++) taken += connects(&to);
  printf("%d of %d\n", taken, times);
  return 0;
}
