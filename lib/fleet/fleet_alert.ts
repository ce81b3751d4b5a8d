/** An alert of one agent, as servers and agents exchange it. Types only. */

/** The fields of an alert that agents send to servers. */
export interface FleetAlert {
  alert: string;
  level: "error" | "warning";
  message: string;
  /** The numbers behind the message, named as in JSON. A bigint that no number holds exactly becomes a string. */
  fields: Record<string, unknown>;
  unixNs: bigint;
}
