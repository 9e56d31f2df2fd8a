import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RequestStage } from '../../filters/stream.ts';
import { Headers } from '../../request/headers.ts';
import { Line } from './line.ts';

function newLine() {
  const seen: string[] = [];
  const sink = { full: false };
  const line = new Line<RequestStage>({
    data: (chunk) => seen.push(chunk.toString()),
    end: (trailers) => seen.push(`end ${trailers?.join() ?? ''}`),
    reply: ({ status }) => seen.push(`reply ${status}`),
    isFull: () => sink.full,
    held: () => seen.push(line.isHeld ? 'held' : 'free'),
  });
  const add = (make: (onward: ReturnType<typeof line.link>) => RequestStage, where: 'first' | 'last' = 'last') => {
    const link = line.link((ended) => seen.push(`head ${ended}`));
    link.stage = make(link);
    line.join(link, where);
    return link;
  };
  return { line, seen, sink, add };
}

describe('a direction through filters', () => {
  it('passes those by that have no interest', () => {
    const { line, seen, add } = newLine();
    add(() => ({}));
    line.data(Buffer.from('a'));
    line.data(Buffer.alloc(0));
    line.end(['x', '1']);
    assert.deepEqual(seen, ['a', 'end x,1']);
  });

  it('gives what a stage makes to those behind it, whoever joined first', () => {
    const { line, seen, add } = newLine();
    const tagged = (name: string) => (onward: { data(chunk: Buffer): void; end(trailers?: Headers): void }) => ({
      data: (chunk: Buffer) => onward.data(Buffer.from(`${chunk}${name}`)),
      end: (trailers: Headers | undefined) => onward.end(Headers.of([...(trailers ?? []), [name, '1']])),
    });
    add(tagged('b'));
    add(tagged('c'));
    add(tagged('a'), 'first');
    line.data(Buffer.from('x'));
    line.end(undefined);
    assert.deepEqual(seen, ['xabc', 'end a,1,b,1,c,1']);
  });

  it('holds its source while any stage wants it', () => {
    const { seen, add } = newLine();
    const [a, b] = [add(() => ({})), add(() => ({}))];
    a.pause();
    a.pause();
    b.pause();
    a.resume();
    assert.deepEqual(seen, ['held']);
    b.resume();
    b.resume();
    assert.deepEqual(seen, ['held', 'free']);
  });

  it('is full for a stage by what is behind it and by others, not by itself', () => {
    const { line, sink, add } = newLine();
    const drained: string[] = [];
    const [a, b] = ['a', 'b'].map((name) => add(() => ({ drained: () => drained.push(name) })));
    a!.pause();
    assert.deepEqual([a!.isFull, b!.isFull], [false, true]);
    sink.full = true;
    assert.equal(a!.isFull, true);
    line.drained();
    assert.deepEqual(drained, []);
    sink.full = false;
    line.drained();
    assert.deepEqual(drained, ['a']);
    a!.resume();
    assert.deepEqual(drained, ['a', 'b', 'a']);
  });

  it('is silent once it is closed', () => {
    const { line, seen, add } = newLine();
    const a = add(() => ({}));
    line.close();
    a.head(true);
    a.data(Buffer.from('a'));
    a.end();
    a.pause();
    a.resume();
    a.reply({ kind: 'reply', status: 500, headers: [], body: '', details: '' });
    assert.deepEqual(seen, []);
  });
});
