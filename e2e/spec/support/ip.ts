// The kernel's own word on the network: `ip` inside a process's network namespace.

import { execFileSync } from 'node:child_process';

/** What we compare of `ip -j link`. */
export interface IpLink {
  ifindex: number;
  ifname: string;
  link_index?: number;
  address: string;
  mtu: number;
  master?: string;
}

/** `ip -j ARGS`, in the network namespace of a process; pid 0: on the host. */
export const ip = <T>(pid: number, ...args: string[]): T[] => {
  const words = pid === 0 ? ['-j', ...args] : [`--net=/proc/${pid}/ns/net`, 'ip', '-j', ...args];
  const text = execFileSync(pid === 0 ? 'ip' : 'nsenter', words, { encoding: 'utf8' });
  return text.trim() === '' ? [] : (JSON.parse(text) as T[]);
};
