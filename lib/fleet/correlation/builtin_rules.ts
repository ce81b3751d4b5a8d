/** The rules that apply unless a file says otherwise, written as a file would have them. */
import type { CorrelationRule } from "./correlated_group.ts";
import { parseCorrelationRules } from "./rules.ts";

export const BUILTIN_RULES_YAML = `rules:
  - name: program connects, then reads files
    kind: process_tree
    window_ms: 60000
    steps:
      - { event: process_exec }
      - { event: network_connect }
      - { event: file_open }
      - { event: process_exit }
    severity: info
    sentence: "On {host}, {filename} (pid {pid}) ran as {processes} process(es) for {seconds} s, connected to {peers}
      and then opened {paths} before it ended."

  - name: program runs from a folder that anybody may write to
    kind: process_tree
    window_ms: 60000
    steps:
      - { event: process_exec, path_prefix: /tmp/ }
      - { event: network_connect }
    severity: warning
    sentence: "On {host}, {filename} (pid {pid}) was run from /tmp and connected to {peers}."

  - name: secrets read by a program that connects
    kind: process_tree
    window_ms: 60000
    steps:
      - { event: file_open, path_prefix: /etc/shadow, result: 0 }
      - { event: network_connect }
    severity: error
    sentence: "On {host}, {comm} (pid {pid}) read password hashes and then connected to {peers}."

  - name: connection between two hosts
    kind: connection_pair
    window_ms: 10000
    severity: debug
    sentence: "{comm} on {host} talks {protocol} from {src} to {server_comm} on {server_host} at {dst}."

  - name: burst of violations by a user
    kind: burst
    match: { event: security_violation }
    per: user
    threshold: 20
    window_ms: 10000
    severity: warning
    sentence: "On {host}, user {subject} met {events} security violations in {seconds} s ({kinds}), first by {comm}."

  - name: burst of violations in a container
    kind: burst
    match: { event: security_violation }
    per: container
    threshold: 20
    window_ms: 10000
    severity: error
    sentence: "On {host}, container {subject} met {events} security violations in {seconds} s ({kinds}), first by {comm}."

  - name: kill after resource pressure
    kind: pressure
    cause: { event: resource_limit }
    effect: { event: process_exit, signal: 9 }
    threshold: 1
    window_ms: 30000
    severity: error
    sentence: "On {host}, {victims} died by SIGKILL within {seconds} s of {causes} resource limit event(s) ({kinds})."
`;

export const BUILTIN_CORRELATION_RULES: readonly CorrelationRule[] = parseCorrelationRules(
  BUILTIN_RULES_YAML,
  "built-in rules",
);
