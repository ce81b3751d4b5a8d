/** Names that IANA gives to numbers in packets, as far as they are shown or accepted here. */

const PROTOCOLS: Record<string, number> = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  icmp6: 58,
  eigrp: 88,
  ospf: 89,
  pim: 103,
  vrrp: 112,
  l2tp: 115,
  sctp: 132,
  udplite: 136,
};

const SERVICES: Record<string, number> = {
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  dns: 53,
  dhcp: 67,
  tftp: 69,
  http: 80,
  kerberos: 88,
  pop3: 110,
  ntp: 123,
  imap: 143,
  snmp: 161,
  bgp: 179,
  ldap: 389,
  https: 443,
  syslog: 514,
  submission: 587,
  ldaps: 636,
  imaps: 993,
  pop3s: 995,
  mysql: 3306,
  rdp: 3389,
  nats: 4222,
  otlp: 4317,
  vxlan: 4789,
  mdns: 5353,
  postgres: 5432,
  amqp: 5672,
  geneve: 6081,
  redis: 6379,
  kubernetes: 6443,
  kafka: 9092,
  prometheus: 9090,
  memcached: 11211,
  mongodb: 27017,
  wireguard: 51820,
};

export const PROTO_ICMP = PROTOCOLS.icmp;
export const PROTO_ICMP6 = PROTOCOLS.icmp6;
export const PROTO_TCP = PROTOCOLS.tcp;
export const PROTO_UDP = PROTOCOLS.udp;
export const PROTO_SCTP = PROTOCOLS.sctp;

const PROTOCOL_NAMES = new Map(Object.entries(PROTOCOLS).map(([name, proto]) => [proto, name]));

/** Lower-case name of an IP protocol, or its number in decimal. */
export function protocolName(proto: number): string {
  return PROTOCOL_NAMES.get(proto) ?? String(proto);
}

/** Number of an IP protocol given by name; undefined for a name not known here. */
export function protocolNumber(name: string): number | undefined {
  return Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
}

/** Port of a well-known service; undefined for a name not known here. */
export function servicePort(name: string): number | undefined {
  return Object.hasOwn(SERVICES, name) ? SERVICES[name] : undefined;
}

const UDP_ONLY = ["dhcp", "tftp", "ntp", "snmp", "syslog", "vxlan", "mdns", "geneve", "wireguard"];
const UDP_TOO = ["domain", "kerberos", "ldap", "https", "rdp", "memcached"];

/** Names by port; of several names of a port the first counts. */
function namesByPort(isOffered: (name: string) => boolean): Map<number, string> {
  // Backwards, so that the first is the one that stays.
  return new Map(
    Object.entries(SERVICES).reverse().filter(([name]) => isOffered(name)).map(([name, port]) => [port, name]),
  );
}

const TCP_SERVICE_NAMES = namesByPort((name) => !UDP_ONLY.includes(name));
const UDP_SERVICE_NAMES = namesByPort((name) => UDP_ONLY.includes(name) || UDP_TOO.includes(name));

/** Name of the well-known service at a port; undefined for one without a name here, and beyond TCP and UDP. */
export function serviceOf(port: number, proto: number): string | undefined {
  if (proto === PROTO_TCP) return TCP_SERVICE_NAMES.get(port);
  return proto === PROTO_UDP ? UDP_SERVICE_NAMES.get(port) : undefined;
}

/** Whether flows of this protocol carry ports. ICMP keeps its type and code where ports would be. */
export function hasPorts(proto: number): boolean {
  return proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_SCTP;
}

/** `SA` for SYN and ACK: a letter for each flag set, FIN (bit 0), SYN, RST, PSH, ACK, URG, ECE, CWR. */
export function tcpFlagLetters(flags: number): string {
  return [..."FSRPAUEC"].filter((_, bit) => flags >> bit & 1).join("");
}
