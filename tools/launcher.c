// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The start of the self-extracting ./ebpfmon. tools/pack.ts appends to this program what it runs, the Deno binary and
 * the bundled application:
 *
 *	this ELF file | struct file[files] | contents, in the order of the table | struct trailer
 *
 * A start finds those files unpacked in a folder named by the payload's SHA-256, or unpacks them, and becomes Deno by
 * execve(): signals, exit status and terminal need no forwarding. Since it may run as root or with file capabilities,
 * it uses a folder only when nobody but root and its own user could have written there, and only while the files are
 * whole. Not strip(1)-able: what is appended would go.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MAGIC "ebpfmon1"
#define RUNTIME "ebpfmon" /* the Deno binary's name once unpacked: it is what top and pgrep show */
#define FLAGS "flags" /* arguments for Deno, one a line */
#define ENTRY "main.js"

#define HASH_BYTES 32
#define HASH_CHARS (2 * HASH_BYTES)
#define FLAGS_MAX 64
#define UNPACK_TRIES 3 /* a start of another version may remove what nobody holds yet */

/* Both structs, little-endian, are written by tools/pack.ts. A folder stands before what is in it, and has no contents.
 */
struct file {
	char path[112];
	uint64_t size;
	uint32_t checksum;
	uint32_t mode; /* as in stat(2): type and permissions */
};

struct trailer {
	uint8_t sha256[HASH_BYTES]; /* of the table and the contents */
	uint64_t offset; /* of the table in this file */
	uint64_t files;
	char magic[8];
};

struct payload {
	const uint8_t *data; /* the table, then the contents */
	size_t size;
	const struct file *files;
	size_t count;
	uint8_t sha256[HASH_BYTES];
	char name[HASH_CHARS + 1]; /* sha256 in hexadecimal */
};

static bool secure; /* AT_SECURE: file capabilities give us more than our user has */

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("ebpfmon: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	exit(1);
}

/* --- hashes ------------------------------------------------------------------------------------------------------- */

struct sha256 {
	uint32_t state[8];
	uint8_t block[64];
	uint64_t bytes;
};

static const uint32_t SHA256_K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t x, int bits)
{
	return x >> bits | x << (32 - bits);
}

static void sha256_block(uint32_t state[8], const uint8_t *block)
{
	uint32_t w[64], s[8];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + (rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3) + w[i - 7] +
		       (rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10);
	}
	memcpy(s, state, sizeof(s));
	for (int i = 0; i < 64; i++) {
		uint32_t t1 = s[7] + (rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25)) +
			      ((s[4] & s[5]) ^ (~s[4] & s[6])) + SHA256_K[i] + w[i];
		uint32_t t2 = (rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22)) +
			      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(*s));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		state[i] += s[i];
}

static void sha256_init(struct sha256 *sha)
{
	static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	memcpy(sha->state, start, sizeof(start));
	sha->bytes = 0;
}

static void sha256_add(struct sha256 *sha, const uint8_t *data, size_t size)
{
	while (size > 0) {
		size_t used = sha->bytes % 64;
		size_t n = size < 64 - used ? size : 64 - used;

		if (n == 64) {
			sha256_block(sha->state, data);
		} else {
			memcpy(sha->block + used, data, n);
			if (used + n == 64)
				sha256_block(sha->state, sha->block);
		}
		sha->bytes += n;
		data += n;
		size -= n;
	}
}

static void sha256_end(struct sha256 *sha, uint8_t digest[HASH_BYTES])
{
	uint64_t bits = sha->bytes * 8;
	uint8_t end[72] = { 0x80 };
	size_t zeros = (119 - sha->bytes % 64) % 64;

	for (int i = 0; i < 8; i++)
		end[1 + zeros + i] = bits >> (56 - 8 * i);
	sha256_add(sha, end, 1 + zeros + 8);
	for (int i = 0; i < HASH_BYTES; i++)
		digest[i] = sha->state[i / 4] >> (24 - 8 * (i % 4));
}

/*
 * Finds damage, not attacks: those the folders' owners and modes keep out. Eight lanes, so that the compiler makes
 * vectors of them: the 106 MB of Deno take 20 ms with AVX2 and 30 without, where SHA-256 takes half a second.
 * tools/pack.ts has its twin.
 */
#define LANES 8

static inline __attribute__((always_inline)) void mix(uint32_t lanes[LANES], const uint8_t *block)
{
	uint32_t words[LANES];

	memcpy(words, block, sizeof(words));
	for (int i = 0; i < LANES; i++) {
		uint32_t x = (lanes[i] ^ words[i]) * 0x9e3779b1u;

		lanes[i] = x << 13 | x >> 19;
	}
}

#ifdef __x86_64__
__attribute__((target_clones("avx2", "default")))
#endif
uint32_t
checksum(const uint8_t *data, size_t size)
{
	uint8_t last[4 * LANES] = { 0 };
	uint32_t lanes[LANES] = { 0 };
	uint32_t sum = 0;
	size_t whole = size - size % sizeof(last);

	for (size_t at = 0; at < whole; at += sizeof(last))
		mix(lanes, data + at);
	if (whole < size) {
		memcpy(last, data + whole, size - whole);
		mix(lanes, last);
	}
	for (int i = 0; i < LANES; i++) {
		uint32_t x = (sum ^ lanes[i]) * 0x9e3779b1u;

		sum = x << 13 | x >> 19;
	}
	return sum;
}

/* --- the payload -------------------------------------------------------------------------------------------------- */

static void open_payload(struct payload *payload)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct trailer trailer;
	const uint8_t *exe;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		fail("Cannot read its own file through /proc/self/exe: %s", strerror(errno));
	if (pread(fd, &trailer, sizeof(trailer), st.st_size - sizeof(trailer)) != sizeof(trailer) ||
	    memcmp(trailer.magic, MAGIC, sizeof(trailer.magic)) != 0 || trailer.offset > st.st_size - sizeof(trailer) ||
	    trailer.files > (st.st_size - sizeof(trailer) - trailer.offset) / sizeof(struct file))
		fail("Cannot find its payload: the file is cut short or was stripped; build or copy it again");
	exe = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (exe == MAP_FAILED)
		fail("Cannot map its own file: %s", strerror(errno));
	close(fd);
	payload->data = exe + trailer.offset;
	payload->size = st.st_size - sizeof(trailer) - trailer.offset;
	payload->files = (const struct file *)payload->data;
	payload->count = trailer.files;
	memcpy(payload->sha256, trailer.sha256, HASH_BYTES);
	for (int i = 0; i < HASH_BYTES; i++)
		sprintf(payload->name + 2 * i, "%02x", trailer.sha256[i]);
}

static const uint8_t *contents(const struct payload *payload)
{
	return payload->data + payload->count * sizeof(struct file);
}

/* --- trust -------------------------------------------------------------------------------------------------------- */

static bool is_ours(const struct stat *st, bool root_only)
{
	return (st->st_uid == 0 || (!root_only && st->st_uid == geteuid())) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/*
 * Opens an absolute path one component at a time, refusing those that somebody else owns or can write, and symbolic
 * links. A sticky folder such as /tmp may stand on the way, since nobody can replace another's entry there. On failure
 * returns -1, with the reason in `why`.
 */
static int open_trusted(const char *path, bool root_only, char why[PATH_MAX + 64])
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	char rest[PATH_MAX], *next = rest, *component;
	bool ours = false, sticky;
	int dir = open("/", flags);
	struct stat st;

	snprintf(rest, sizeof(rest), "%s", path);
	for (component = "."; component; component = strtok_r(NULL, "/", &next)) {
		int child = openat(dir, component, flags);

		if (child < 0 || fstat(child, &st) < 0) {
			snprintf(why, PATH_MAX + 64, "%s", strerror(errno));
			close(dir);
			return -1;
		}
		close(dir);
		dir = child;
		ours = is_ours(&st, root_only);
		sticky = !root_only && st.st_uid == 0 && st.st_mode & S_ISVTX;
		if (!ours && !sticky)
			break;
	}
	if (ours)
		return dir;
	snprintf(why, PATH_MAX + 64, "other users can write to it or to a folder on its way (owner %u, mode %04o)",
		 st.st_uid, st.st_mode & 07777);
	close(dir);
	return -1;
}

/* Maps a file for reading; NULL where it is not a regular file of that size. `*map` of an empty file is not read. */
static bool map_file(int dir, const struct file *file, bool root_only, const uint8_t **map)
{
	int fd = openat(dir, file->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	bool ok;

	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_ours(&st, root_only) &&
	     (uint64_t)st.st_size == file->size;
	if (ok && file->size > 0) {
		*map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
		ok = *map != MAP_FAILED;
	}
	close(fd);
	return ok;
}

static bool folder_is_ours(int dir, const char *path, bool root_only)
{
	struct stat st;

	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) && is_ours(&st, root_only);
}

/* Whether `name` in `base` holds every file, whole. The table in our own file says what whole is. */
static bool is_whole(int base, const char *name, const struct payload *payload, bool root_only)
{
	int dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool ok = dir >= 0 && folder_is_ours(dir, ".", root_only);

	for (size_t i = 0; ok && i < payload->count; i++) {
		const struct file *file = &payload->files[i];
		const uint8_t *map = NULL;

		if (S_ISDIR(file->mode)) {
			ok = folder_is_ours(dir, file->path, root_only);
			continue;
		}
		ok = map_file(dir, file, root_only, &map) && checksum(map, file->size) == file->checksum;
		if (map && map != MAP_FAILED)
			munmap((void *)map, file->size);
	}
	if (dir >= 0)
		close(dir);
	return ok;
}

/* --- unpacking ---------------------------------------------------------------------------------------------------- */

/* Best effort: what stays is removed by the next start that unpacks. */
static void remove_tree(int base, const char *name)
{
	int dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *entries = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;

	if (!entries) {
		unlinkat(base, name, 0);
		return;
	}
	while ((entry = readdir(entries)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			remove_tree(dir, entry->d_name);
	closedir(entries);
	unlinkat(base, name, AT_REMOVEDIR);
}

static bool write_file(int dir, const struct file *file, const uint8_t *data)
{
	int fd = openat(dir, file->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file->mode & 0777);
	int error;

	if (fd < 0)
		return false;
	for (size_t done = 0; done < file->size;) {
		ssize_t n = write(fd, data + done, file->size - done);

		if (n < 0 && errno != EINTR) {
			error = errno;
			close(fd);
			errno = error;
			return false;
		}
		done += n > 0 ? n : 0;
	}
	/* A rename that reaches the disk before the data would leave a folder that looks finished. */
	if (fsync(fd) < 0) {
		error = errno;
		close(fd);
		errno = error;
		return false;
	}
	return close(fd) == 0;
}

/* Errors are in errno; EBADMSG when what was written does not have the payload's SHA-256. */
static bool write_folder(int base, const char *name, const struct payload *payload)
{
	const uint8_t *data = contents(payload);
	const uint8_t *end = payload->data + payload->size;
	uint8_t digest[HASH_BYTES];
	struct sha256 sha;
	int dir;

	if (mkdirat(base, name, 0755) < 0)
		return false;
	dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return false;
	sha256_init(&sha);
	sha256_add(&sha, payload->data, payload->count * sizeof(struct file));
	for (size_t i = 0; i < payload->count; i++) {
		const struct file *file = &payload->files[i];
		const uint8_t *map = NULL;

		if (file->size > (size_t)(end - data))
			goto damaged;
		if (S_ISDIR(file->mode) ? mkdirat(dir, file->path, file->mode & 0777) < 0
					: !write_file(dir, file, data))
			return false;
		if (file->size > 0) {
			if (!map_file(dir, file, false, &map))
				goto damaged;
			sha256_add(&sha, map, file->size);
			munmap((void *)map, file->size);
		}
		data += file->size;
	}
	sha256_end(&sha, digest);
	if (data != end || memcmp(digest, payload->sha256, HASH_BYTES) != 0)
		goto damaged;
	return fsync(dir) == 0 && close(dir) == 0;
damaged:
	errno = EBADMSG;
	return false;
}

/*
 * Marks the files as in use for as long as this process lives, Deno included, which inherits the descriptor. Waits for
 * a remove_unused() that is about to remove them; is_whole() tells afterwards.
 */
static int hold(int base, const char *name, int operation)
{
	char path[HASH_CHARS + sizeof("/" FLAGS)];
	int fd;

	snprintf(path, sizeof(path), "%s/" FLAGS, name);
	fd = openat(base, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0 && flock(fd, operation) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Removes the files of other versions, over 100 MB each, unless a process runs on them. */
static void remove_unused(int base, const struct payload *payload)
{
	int dir = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;

	while (entries && (entry = readdir(entries))) {
		int fd;

		if (strspn(entry->d_name, "0123456789abcdef") != HASH_CHARS || entry->d_name[HASH_CHARS] != '\0' ||
		    strcmp(entry->d_name, payload->name) == 0)
			continue;
		fd = hold(base, entry->d_name, LOCK_EX | LOCK_NB);
		if (fd < 0)
			continue;
		remove_tree(base, entry->d_name);
		close(fd);
	}
	if (entries)
		closedir(entries);
}

/* Makes `base`/NAME, unless another process just did: of several first starts at once, one unpacks. */
static void unpack(int base, const char *path, const struct payload *payload)
{
	char temporary[HASH_CHARS + 5];
	int lock, error;

	lock = openat(base, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		fail("Cannot unpack into %s: %s; it needs %zu MB in a folder that it can write", path, strerror(errno),
		     payload->size >> 20);
	if (!is_whole(base, payload->name, payload, false)) {
		/* Whoever left one of these behind is gone: we have the lock. */
		snprintf(temporary, sizeof(temporary), "%s.tmp", payload->name);
		remove_tree(base, temporary);
		if (write_folder(base, temporary, payload)) {
			remove_tree(base, payload->name);
			if (renameat(base, temporary, base, payload->name) == 0 && fsync(base) == 0) {
				remove_unused(base, payload);
				close(lock);
				return;
			}
		}
		error = errno;
		remove_tree(base, temporary);
		if (error == EBADMSG)
			fail("Cannot unpack into %s: its own file is damaged; build or copy it again", path);
		fail("Cannot unpack into %s: %s; it needs %zu MB in a folder that it can write", path, strerror(error),
		     payload->size >> 20);
	}
	close(lock);
}

/* --- where -------------------------------------------------------------------------------------------------------- */

/* `<folder of the executable>/../lib/ebpfmon`, which `make install` fills; root alone may have written there. */
static bool find_installed(const char *exe, const struct payload *payload, char path[PATH_MAX])
{
	char folder[PATH_MAX + 32], why[PATH_MAX + 64];
	bool ok;
	int dir;

	snprintf(folder, sizeof(folder), "%.*s/../lib/ebpfmon", (int)(strrchr(exe, '/') - exe), exe);
	if (!realpath(folder, path))
		return false;
	dir = open_trusted(path, true, why);
	if (dir < 0)
		return false;
	ok = is_whole(dir, payload->name, payload, true);
	close(dir);
	return ok;
}

/* Opens the folder for caches, made if need be: /var/cache/ebpfmon for root, else one in the user's own. */
static int open_cache(char path[PATH_MAX])
{
	const char *home = getenv("HOME"), *cache = getenv("XDG_CACHE_HOME");
	char folder[PATH_MAX], why[PATH_MAX + 64];
	int dir;

	if (geteuid() == 0)
		snprintf(folder, sizeof(folder), "/var/cache");
	else if (cache && cache[0] == '/')
		snprintf(folder, sizeof(folder), "%s", cache);
	else if (home && home[0] == '/')
		snprintf(folder, sizeof(folder), "%s/.cache", home);
	else
		fail("Cannot find a folder to unpack into: neither XDG_CACHE_HOME nor HOME is set");
	mkdir(folder, 0700);
	if (strlen(folder) + sizeof("/ebpfmon") > sizeof(folder))
		fail("Cannot unpack into %s: %s", folder, strerror(ENAMETOOLONG));
	strcat(folder, "/ebpfmon");
	mkdir(folder, 0755);
	if (!realpath(folder, path))
		fail("Cannot unpack into %s: %s", folder, strerror(errno));
	dir = open_trusted(path, false, why);
	if (dir < 0)
		fail("Cannot unpack into %s: %s", path, why);
	return dir;
}

/* --- becoming Deno ------------------------------------------------------------------------------------------------ */

/* Deno has no file capabilities of its own; those that are ambient it keeps over execve(). */
static void keep_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		fail("Cannot read its capabilities: %s", strerror(errno));
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].inheritable = data[i].permitted;
	if (syscall(SYS_capset, &header, data) < 0)
		fail("Cannot keep its capabilities: %s", strerror(errno));
	for (int cap = 0; cap < 32 * _LINUX_CAPABILITY_U32S_3; cap++)
		if (data[cap / 32].permitted & 1u << cap % 32 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			fail("Cannot keep capability %d: %s", cap, strerror(errno));
}

/*
 * The dynamic loader ignores LD_PRELOAD and its kin in a program with file capabilities, but Deno runs on ambient ones
 * and would obey: only what is named here passes.
 */
static void clean_environment(void)
{
	static const char *const kept[] = {
		"COLORTERM=",
		"COLUMNS=",
		"CREDENTIALS_DIRECTORY=",
		"HOME=",
		"LANG=",
		"LC_",
		"LINES=",
		"LOGNAME=",
		"NO_COLOR=",
		"NOTIFY_SOCKET=",
		"OTEL_",
		"PATH=",
		"STATE_DIRECTORY=",
		"TERM=",
		"TZ=",
		"USER=",
		"WATCHDOG_",
	};
	extern char **environ;
	char **to = environ;

	for (char **from = environ; *from; from++)
		for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
			if (strncmp(*from, kept[i], strlen(kept[i])) == 0)
				*to++ = *from;
	*to = NULL;
}

static void set_environment(const char *exe, const char *folder)
{
	char deno_dir[PATH_MAX + 16];

	if (secure)
		clean_environment();
	/* Compiled code is read from there and run: it has to be as well kept as the program. Nothing goes to $HOME. */
	snprintf(deno_dir, sizeof(deno_dir), "%s/deno_dir", folder);
	if (setenv("DENO_DIR", deno_dir, 1) < 0 || setenv("DENO_NO_UPDATE_CHECK", "1", 1) < 0 ||
	    setenv("DENO_NO_PACKAGE_JSON", "1", 1) < 0 || setenv("EBPFMON_EXE", exe, 1) < 0)
		fail("Cannot set its environment: %s", strerror(errno));
}

__attribute__((noreturn)) static void become_deno(const char *folder, const struct payload *payload, int argc,
						  char **argv)
{
	char runtime[PATH_MAX + sizeof(RUNTIME)], entry[PATH_MAX + sizeof(ENTRY)], *flags = NULL, *next = NULL;
	char **args = calloc(argc + FLAGS_MAX + 8, sizeof(*args));
	const uint8_t *data = contents(payload);
	int n = 0;

	for (size_t i = 0; i < payload->count; data += payload->files[i++].size)
		if (strcmp(payload->files[i].path, FLAGS) == 0)
			flags = strndup((const char *)data, payload->files[i].size);
	if (!args || !flags)
		fail("Cannot start: out of memory, or a payload without \"%s\"", FLAGS);
	snprintf(runtime, sizeof(runtime), "%s/" RUNTIME, folder);
	snprintf(entry, sizeof(entry), "%s/" ENTRY, folder);
	args[n++] = argc > 0 ? argv[0] : RUNTIME;
	args[n++] = "run";
	for (char *flag = strtok_r(flags, "\n", &next); flag && n < FLAGS_MAX; flag = strtok_r(NULL, "\n", &next))
		args[n++] = flag;
	if (secure) {
		/* Code from elsewhere would run with our capabilities. */
		args[n++] = "--no-remote";
		args[n++] = "--no-npm";
	}
	args[n++] = entry;
	for (int i = 1; i < argc; i++)
		args[n++] = argv[i];
	execv(runtime, args);
	fail("Cannot start %s: %s%s", runtime, strerror(errno),
	     errno == EACCES ? "; is its file system mounted noexec?" : "");
}

int main(int argc, char **argv)
{
	char path[PATH_MAX], folder[PATH_MAX + HASH_CHARS + 2], exe[PATH_MAX] = "";
	const char *target = getenv("EBPFMON_UNPACK");
	struct payload payload;
	mode_t mask;

	secure = getauxval(AT_SECURE) != 0;
	if (getuid() != geteuid() || getgid() != getegid())
		fail("Cannot run set-user-ID or set-group-ID: use file capabilities, as `make install` does");
	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		fail("Cannot read /proc/self/exe: %s", strerror(errno));
	mask = umask(022);
	open_payload(&payload);

	if (target && !secure) {
		/* For `make install`: unpack into a folder that root alone can write, and start nothing. */
		char why[PATH_MAX + 64];
		int dir;

		if (!realpath(target, path) || (dir = open_trusted(path, false, why)) < 0)
			fail("Cannot unpack into %s: no such folder, or others can write to it", target);
		unpack(dir, path, &payload);
		printf("%s/%s\n", path, payload.name);
		return 0;
	}
	if (!find_installed(exe, &payload, path)) {
		int dir;

		/* A user's own folder is one that the user could fill with a program to run with our capabilities. */
		if (secure && geteuid() != 0)
			fail("Cannot find its files in %.*s/../lib/ebpfmon: run `make install` again",
			     (int)(strrchr(exe, '/') - exe), exe);
		dir = open_cache(path);
		for (int tries = 0;; tries++) {
			int held = hold(dir, payload.name, LOCK_SH);

			if (held >= 0 && is_whole(dir, payload.name, &payload, false))
				break;
			if (held >= 0)
				close(held);
			if (tries == UNPACK_TRIES)
				fail("Cannot use what it unpacked into %s: owner, mode or content is not as written",
				     path);
			unpack(dir, path, &payload);
		}
		close(dir);
	}
	snprintf(folder, sizeof(folder), "%s/%s", path, payload.name);
	if (secure)
		keep_capabilities();
	set_environment(exe, folder);
	umask(mask);
	become_deno(folder, &payload, argc, argv);
}
