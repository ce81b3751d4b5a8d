// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Turns generic receive offload of an interface on: a veth without an XDP program takes redirected frames only with it.
 *
 *     enable_gro IFACE
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct ethtool_value value = { .cmd = ETHTOOL_SGRO, .data = 1 };
	struct ifreq request = { .ifr_data = (void *)&value };
	int fd;

	if (argc != 2 || strlen(argv[1]) >= sizeof(request.ifr_name))
		return 2;
	strcpy(request.ifr_name, argv[1]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request)) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
