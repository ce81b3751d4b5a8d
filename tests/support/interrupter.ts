/**
 * Sends SIGUSR2 to one thread, over and over, until it is killed or the thread is gone.
 *
 *     interrupter.ts PID TID
 */
const SIGUSR2 = 12;

const [pid, tid] = Deno.args.map(Number);
const libc = Deno.dlopen("libc.so.6", {
  tgkill: { parameters: ["i32", "i32", "i32"], result: "i32" },
  usleep: { parameters: ["u32"], result: "i32" },
});
while (libc.symbols.tgkill(pid, tid, SIGUSR2) === 0) libc.symbols.usleep(20);
libc.close();
