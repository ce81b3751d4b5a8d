/**
 * Run in a namespace: an IPFIX collector over TCP, for one session.
 *
 *     ipfix_collector.ts ADDRESS PORT
 *
 * Prints a line when it listens, and at the session's end what it got as one line of JSON (a bigint as text). It fails
 * for anything that is not IPFIX, and for a sequence number that does not count the data records before it.
 */
import { IpfixDecoder, splitStream } from "./ipfix.ts";

const [hostname, port] = Deno.args;
const listener = Deno.listen({ hostname, port: Number(port) });
console.log("listening");
const connection = await listener.accept();
const { messages, rest } = splitStream(await new Response(connection.readable).bytes());
listener.close();
if (rest > 0) throw new Error(`Cannot be right: ${rest} bytes are left`);

const decoder = new IpfixDecoder();
const flows = { 256: 0, 257: 0 } as Record<number, number>;
let packets = 0n;
let octets = 0n;
let records = 0;
let statistics: Record<string, string> = {};
for (const message of messages) {
  const { sequence, data } = decoder.decode(message);
  if (sequence !== records) throw new Error(`Cannot be right: sequence ${sequence} after ${records} records`);
  records += data.length;
  for (const { templateId, record } of data) {
    if (templateId === 258) {
      statistics = Object.fromEntries(Array.from(record, ([id, value]) => [id, `${value}`]));
      continue;
    }
    flows[templateId]++;
    packets += record.get(2)!;
    octets += record.get(1)!;
  }
}
console.log(JSON.stringify({ flows, packets: `${packets}`, octets: `${octets}`, statistics }));
