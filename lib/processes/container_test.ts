import { assertEquals } from "../../tests/assert.ts";
import { containerOfPath, containerOfProcess } from "./container.ts";

const ID = "c7c1b0ed1a9bd0a9b7a4b1b7e6a1f5e3a2f0d4c8b6e2a1907f5e4d3c2b1a0f9e";
const INNER = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID = "9a1d2f0c-4b6e-4c1a-8f7d-3e5b7a9c1d2e";
const UID_ = UID.replaceAll("-", "_");
const HASH = "6b1d9a0e2f3c4b5a69788796a5b4c3d2";

/** Path, container id, pod uid. */
const PATHS: [path: string, containerId: string, podUid: string][] = [
  ["/", "", ""],
  ["", "", ""],
  ["/init.scope", "", ""],
  ["/system.slice/nginx.service", "", ""],
  ["/user.slice/user-1000.slice/session-3.scope", "", ""],
  ["/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1f8a3b.scope", "", ""],
  // Docker: cgroupfs driver, systemd driver, systemd inside of it.
  [`/docker/${ID}`, ID, ""],
  [`/system.slice/docker-${ID}.scope`, ID, ""],
  [`/docker/${ID}/system.slice/sshd.service`, ID, ""],
  [`/docker/${ID}/docker/${INNER}`, INNER, ""],
  // containerd below Kubernetes: cgroupfs driver with each class, systemd driver, drivers that differ.
  [`/kubepods/pod${UID}/${ID}`, ID, UID],
  [`/kubepods/burstable/pod${UID}/${ID}`, ID, UID],
  [`/kubepods/besteffort/pod${UID}/${ID}`, ID, UID],
  [`/kubepods.slice/kubepods-pod${UID_}.slice/cri-containerd-${ID}.scope`, ID, UID],
  [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_}.slice/cri-containerd-${ID}.scope`, ID, UID],
  [`/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UID_}.slice/docker-${ID}.scope`, ID, UID],
  [`/system.slice/containerd.service/kubepods-burstable-pod${UID_}.slice:cri-containerd:${ID}`, ID, UID],
  [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${HASH}.slice/cri-containerd-${ID}.scope`, ID, HASH],
  // The pod's own folder, and what kind and nested kubelets make of it.
  [`/kubepods/burstable/pod${UID}`, "", UID],
  [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_}.slice`, "", UID],
  [
    `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${UID_}.slice/cri-containerd-${ID}.scope`,
    ID,
    UID,
  ],
  [`/docker/${ID}/kubelet/kubepods/burstable/pod${UID}/${INNER}`, INNER, UID],
  // CRI-O and its monitor.
  [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_}.slice/crio-${ID}.scope`, ID, UID],
  [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_}.slice/crio-${ID}.scope/container`, ID, UID],
  [`/kubepods.slice/kubepods-pod${UID_}.slice/crio-conmon-${ID}.scope`, "", UID],
  [`/kubepods/burstable/pod${UID}/crio-${ID}`, ID, UID],
  // Podman: root, rootless, cgroupfs, a pod of its own, its monitor.
  [`/machine.slice/libpod-${ID}.scope`, ID, ""],
  [`/machine.slice/libpod-${ID}.scope/container`, ID, ""],
  [`/machine.slice/machine-libpod_pod_${INNER}.slice/libpod-${ID}.scope`, ID, ""],
  [`/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope/container`, ID, ""],
  [`/libpod_parent/libpod-${ID}`, ID, ""],
  [`/machine.slice/libpod-conmon-${ID}.scope`, "", ""],
  // nerdctl, ECS.
  [`/system.slice/nerdctl-${ID}.scope`, ID, ""],
  [`/ecs/${HASH}/${ID}`, ID, ""],
  [`/ecs/cluster/${HASH}/${HASH}-2531612879`, `${HASH}-2531612879`, ""],
  // Seen from within a cgroup namespace.
  [`/../../${ID}`, ID, ""],
  // What only looks like one.
  [`/process_api/${HASH}`, "", ""],
  [`/${ID}0`, "", ""],
  [`/${ID.toUpperCase()}`, "", ""],
  [`/system.slice/pod${UID}.slice`, "", ""],
  [`/system.slice/docker-${ID}.mount`, "", ""],
];

Deno.test("containerOfPath() finds container and pod as each runtime and driver writes them", () => {
  for (const [path, containerId, podUid] of PATHS) assertEquals(containerOfPath(path), { containerId, podUid }, path);
});

Deno.test("containerOfProcess() finds the container in whichever hierarchy has it", () => {
  for (const [path, containerId, podUid] of PATHS) {
    assertEquals(containerOfProcess(`0::${path}\n`), { containerId, podUid }, path);
    assertEquals(containerOfProcess(`12:memory:${path}\n1:name=systemd:/\n0::/\n`), { containerId, podUid }, path);
    assertEquals(containerOfProcess(`12:cpu,cpuacct:/\n1:name=systemd:${path}\n0::/\n`), { containerId, podUid }, path);
  }
});

Deno.test("containerOfProcess() prefers a container over a pod, and takes any text", () => {
  const text = `3:cpu:/kubepods/burstable/pod${UID}\n0::/kubepods/burstable/pod${UID}/${ID}\n`;
  assertEquals(containerOfProcess(text), { containerId: ID, podUid: UID });
  for (const odd of ["", ":", "::", "\n\n", "0::", "nonsense"]) {
    assertEquals(containerOfProcess(odd), { containerId: "", podUid: "" });
  }
});
