/** Reads the captures of tcpdump: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/, Ethernet and Linux cooked frames. */
export interface TcpSegment {
  readonly source: { readonly ip: string; readonly port: number };
  readonly destination: { readonly ip: string; readonly port: number };
  readonly payload: Uint8Array;
}

/** TCP segments with payload, in the order of the capture. Throws on a file that is no pcap. */
export function readTcp(pcap: Uint8Array): readonly TcpSegment[] {
  throw new Error(`not written yet: ${pcap.length}`);
}

/** Bytes of any packet whole, headers included, in the order of the capture. */
export function readPackets(pcap: Uint8Array): readonly Uint8Array[] {
  throw new Error(`not written yet: ${pcap.length}`);
}

/** How often the bytes occur in the capture, within one packet or across the segments of one TCP direction. */
export function countBytes(pcap: Uint8Array, needle: Uint8Array): number {
  throw new Error(`not written yet: ${pcap.length} ${needle.length}`);
}

/** TLS application data records (RFC 8446 section 5.1) in streams from or to this TCP port. */
export function countTlsRecords(pcap: Uint8Array, port: number): number {
  throw new Error(`not written yet: ${pcap.length} ${port}`);
}
