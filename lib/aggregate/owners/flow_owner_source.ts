/** Who is asked whose flow it is. Types only. */

import type { FilterableFlow } from "../../filter/flows.ts";
import type { ProcessDescription, ProcessIdentity } from "../../processes/process_identity.ts";

/** Who uses the flows' ends on this host. */
export interface FlowOwnerSource {
  /** null when no process is known; the flow is lent. */
  ownerOf(flow: FilterableFlow): ProcessIdentity | null;
  /** The container's id, empty outside of one. */
  containerOf(owner: ProcessIdentity): string;
  /** For the few rows that are shown. */
  describe(owner: ProcessIdentity): ProcessDescription;
}
