/** Counts gRPC's messages in a body, whose chunks know nothing of them: a flag, four bytes of length, and so many bytes each. */
export class GrpcMessages {
  count = 0;
  readonly #head = Buffer.alloc(5);
  #inHead = 0;
  #left = 0;

  feed(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      this.#head[this.#inHead++] = chunk[at++]!;
      if (this.#inHead < 5) continue;
      this.#inHead = 0;
      this.#left = this.#head.readUInt32BE(1);
      this.count++;
    }
  }
}
