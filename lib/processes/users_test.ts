import { assertEquals } from "../../tests/assert.ts";
import { parsePasswd, Users } from "./users.ts";

const SECOND_NS = 1e9;

Deno.test("parsePasswd() takes the first name of a uid and leaves out what is no user", () => {
  const text = [
    "root:x:0:0:root:/root:/bin/bash",
    "toor:x:0:0::/root:/bin/sh",
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin",
    "# comment:x:5:5::/:/bin/sh",
    "+nis:x:6:6::/:",
    "+::::::",
    "",
    "broken",
    "negative:x:-1:1::/:",
    "hex:x:0x10:1::/:",
    ":x:9:9::/:",
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
  ].join("\n");
  assertEquals([...parsePasswd(text)], [[0, "root"], [33, "www-data"], [65534, "nobody"]]);
});

Deno.test("Users.refresh() reads a file that has changed, at most once in 10 s", () => {
  let stamp: number | null = 1, text = "a:x:1:1::/:", looks = 0, reads = 0;
  const users = new Users({
    passwdStamp: () => (looks++, stamp),
    passwdText: () => (reads++, text),
  });
  assertEquals(users.nameOf(1), "");
  assertEquals([users.refresh(0), users.nameOf(1)], [true, "a"]);
  stamp = 2;
  text = "b:x:1:1::/:";
  assertEquals([users.refresh(9.9 * SECOND_NS), users.nameOf(1), looks], [false, "a", 1]);
  assertEquals([users.refresh(10 * SECOND_NS), users.nameOf(1)], [true, "b"]);
  assertEquals([users.refresh(20 * SECOND_NS), reads, looks], [false, 2, 3]);
  stamp = null;
  assertEquals([users.refresh(30 * SECOND_NS), users.nameOf(1)], [false, "b"]);
});
