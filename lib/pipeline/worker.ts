/** A worker of the pipeline: one node with the standard stages. */
import { serveNode } from "./node_worker.ts";

serveNode();
