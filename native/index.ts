/**
 * What TypeScript may ask of the addon. Seven groups: sock, diag, netns, seqpacket, bpf, nft, stdio. Numbers, bigints, strings and Uint8Arrays
 * cross; policy, configuration and logging do not. Every failed system call throws NativeError with the errno's name.
 *
 * Switching network namespaces happens on threads that the addon makes and ends, never on Node's.
 */
export { addonFile, isNativeError, type NativeError } from './addon.ts';
export {
  type Attached,
  type BpfEvents,
  type BpfMap,
  type BpfObject,
  bpfReadOnlyData,
  detachLink,
  type LinkInfo,
  linkInfo,
  loadBpf,
  openPinnedMap,
} from './bpf.ts';
export { destroyTcpSocket, type TcpSocket } from './diag.ts';
export { type LinkSize, linkSizes, setLinkSize } from './links.ts';
export {
  netnsCookie,
  netnsIdentity,
  newNetns,
  openNetns,
  type PodRouting,
  podRouting,
  proxyMark,
  setUpPodRouting,
  tearDownPodRouting,
} from './netns.ts';
export { nft } from './nft.ts';
export {
  maxPacketBytes,
  type Packet,
  type PeerCredentials,
  type SeqpacketConnection,
  type SeqpacketEnd,
  type SeqpacketListener,
  seqpacketConnect,
  seqpacketFromFd,
  seqpacketListen,
  seqpacketPair,
} from './seqpacket.ts';
export {
  bindSocket,
  closeFd,
  dupFd,
  type KeepAlive,
  originalDestination,
  peerName,
  type SocketSpec,
  socketName,
  socketsHere,
  socketsInNetns,
} from './sock.ts';
export { makePipe, openTerminal, type Pipe, Terminal } from './stdio.ts';
