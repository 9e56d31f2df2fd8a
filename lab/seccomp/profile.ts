/**
 * Which system calls a container with `seccompProfile: RuntimeDefault` may make: what containerd 2.1's default profile refuses, which
 * depends on the container's capabilities. Written as what is refused, since that is the shorter list.
 */

export interface RefusedCall {
  readonly name: string;
  /** Its number on each architecture (asm/unistd.h); null: it is not there. */
  readonly x64: number | null;
  readonly arm64: number | null;
  /** A container with one of these (capabilities(7), as setpriv(1) writes them) may make it. */
  readonly unless: readonly string[];
}

type Row = readonly [name: string, x64: number | null, arm64: number | null];

const always: readonly Row[] = [
  ...rows(['uselib', 134], ['ustat', 136], ['sysfs', 139], ['_sysctl', 156], ['create_module', 174]),
  ...rows(['get_kernel_syms', 177], ['query_module', 178], ['getpmsg', 181], ['putpmsg', 182], ['afs_syscall', 183]),
  ...rows(['tuxcall', 184], ['security', 185], ['vserver', 236]),
  ...rows(['pivot_root', 155, 41], ['swapon', 167, 224], ['swapoff', 168, 225], ['nfsservctl', 180, 42]),
  ...rows(['kexec_load', 246, 104], ['kexec_file_load', 320, 294], ['migrate_pages', 256, 238]),
  ...rows(['move_pages', 279, 239], ['add_key', 248, 217], ['request_key', 249, 218], ['keyctl', 250, 219]),
  ...rows(['userfaultfd', 323, 282], ['io_uring_setup', 425, 425], ['io_uring_enter', 426, 426]),
  ...rows(['io_uring_register', 427, 427], ['statmount', 457, 457], ['listmount', 458, 458]),
  ...rows(['lsm_get_self_attr', 459, 459], ['lsm_set_self_attr', 460, 460], ['lsm_list_modules', 461, 461]),
];

const byCapability: readonly (readonly [unless: readonly string[], rows: readonly Row[]])[] = [
  [['dac_read_search'], rows(['open_by_handle_at', 304, 265])],
  [['sys_admin', 'bpf'], rows(['bpf', 321, 280])],
  [['sys_admin', 'perfmon'], rows(['perf_event_open', 298, 241])],
  [['sys_admin', 'syslog'], rows(['syslog', 103, 116])],
  [
    ['sys_admin'],
    [
      ...rows(['mount', 165, 40], ['umount2', 166, 39], ['sethostname', 170, 161], ['setdomainname', 171, 162]),
      ...rows(['quotactl', 179, 60], ['lookup_dcookie', 212, 18], ['unshare', 272, 97], ['fanotify_init', 300, 262]),
      ...rows(['setns', 308, 268], ['open_tree', 428, 428], ['move_mount', 429, 429], ['fsopen', 430, 430]),
      ...rows(['fsconfig', 431, 431], ['fsmount', 432, 432], ['fspick', 433, 433], ['mount_setattr', 442, 442]),
      ...rows(['quotactl_fd', 443, 443]),
    ],
  ],
  [['sys_boot'], rows(['reboot', 169, 142])],
  [['sys_chroot'], rows(['chroot', 161, 51])],
  [['sys_module'], rows(['init_module', 175, 105], ['delete_module', 176, 106], ['finit_module', 313, 273])],
  [
    ['sys_nice'],
    [
      ...rows(['mbind', 237, 235], ['set_mempolicy', 238, 237], ['get_mempolicy', 239, 236]),
      ...rows(['set_mempolicy_home_node', 450, 450]),
    ],
  ],
  [['sys_pacct'], rows(['acct', 163, 89])],
  [['sys_ptrace'], rows(['kcmp', 312, 272], ['pidfd_getfd', 438, 438], ['process_madvise', 440, 440])],
  [['sys_rawio'], rows(['iopl', 172], ['ioperm', 173])],
  [['sys_time'], rows(['settimeofday', 164, 170], ['clock_settime', 227, 112])],
  [['sys_tty_config'], rows(['vhangup', 153, 58])],
];

function rows(...of: readonly (readonly [name: string, x64: number | null, arm64?: number])[]): Row[] {
  return of.map(([name, x64, arm64 = null]) => [name, x64, arm64]);
}

/** Refused with EPERM. clone, clone3, socket and personality are judged by what they are asked for: {@link judged}. */
export const refusedCalls: readonly RefusedCall[] = [
  ...always.map((row) => refused(row, [])),
  ...byCapability.flatMap(([unless, of]) => of.map((row) => refused(row, unless))),
];

function refused([name, x64, arm64]: Row, unless: readonly string[]): RefusedCall {
  return { name, x64, arm64, unless };
}

export type Arch = 'x64' | 'arm64';

export const judged = {
  x64: { clone: 56, clone3: 435, socket: 41, personality: 135 },
  arm64: { clone: 220, clone3: 435, socket: 198, personality: 92 },
} as const satisfies Record<Arch, object>;

/** The last call that the profile knows. Newer ones do not exist for the container (ENOSYS), as runc has it. */
export const newestCall = 461;

/** Flags of clone() that make a namespace (linux/sched.h): for a container with CAP_SYS_ADMIN only. */
export const namespaceFlags = 0x7e02_0000;

export const personalities: readonly number[] = [0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

/** AF_VSOCK leads to the host of a virtual machine. */
export const refusedFamily = 40;
