/**
 * The container that a cgroup belongs to, from the cgroup's path: container runtimes and Kubernetes put their ids into
 * it.
 */

export interface Container {
  /** The container's id; empty outside containers. */
  readonly containerId: string;
  /** The pod's UID with dashes; empty outside pods. */
  readonly podUid: string;
}

export const NO_CONTAINER: Container = { containerId: "", podUid: "" };

/**
 * A folder of a container: its id alone (cgroupfs driver), behind the runtime's name (`docker-ID.scope`,
 * `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`), or as runc names it when the drivers of runtime and
 * kubelet differ (`SLICE:cri-containerd:ID`).
 */
const CONTAINER = /^(?:([a-z][a-z0-9-]*)-|[^:]*:([a-z][a-z0-9-]*):)?([0-9a-f]{64})(?:\.scope)?$/;
/** The scope of a container's monitor, `conmon` of Podman and CRI-O, which runs on the host. */
const MONITOR = /(?:^|-)conmon$/;
/** A container of Amazon ECS, below a folder `ecs`: the task's id and a number. */
const ECS_CONTAINER = /^[0-9a-f]{32}-[0-9]+$/;
/** `podUID` or `kubepods-burstable-podUID.slice`; the systemd driver writes the UID with underscores. Static pods have a hash. */
const POD = /(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?::|$)/;

/** @param path within a cgroup hierarchy of version 1 or 2, as in /proc/PID/cgroup */
export function containerOfPath(path: string): Container {
  let containerId = "", podUid = "";
  const folders = path.split("/");
  const isKubernetes = path.includes("kubepods");
  // A container within another lies below it: the last id wins.
  for (const folder of folders) {
    const [, dashed, colons, id] = CONTAINER.exec(folder) ?? [];
    if (id !== undefined && !MONITOR.test(dashed ?? colons ?? "")) containerId = id;
    else if (folders[1] === "ecs" && ECS_CONTAINER.test(folder)) containerId = folder;
    const uid = isKubernetes ? POD.exec(folder)?.[1] : undefined;
    if (uid !== undefined) podUid = uid.replaceAll("_", "-");
  }
  return containerId === "" && podUid === "" ? NO_CONTAINER : { containerId, podUid };
}

/**
 * @param text of /proc/PID/cgroup: `NUMBER:CONTROLLERS:PATH` a line, one a hierarchy. Where both versions are mounted,
 * the container may be in any of them.
 */
export function containerOfProcess(text: string): Container {
  let found = NO_CONTAINER;
  for (const line of text.split("\n")) {
    const path = line.slice(line.indexOf(":", line.indexOf(":") + 1) + 1);
    const container = containerOfPath(path);
    if (container.containerId !== "") return container;
    if (container.podUid !== "") found = container;
  }
  return found;
}
