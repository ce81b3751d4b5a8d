/** Entry of a pipeline worker: one node with the standard stages. */
import { serveNode } from "./node_worker.ts";

serveNode();
