/** The thread that shows one ring. */
import { parentPort, workerData } from 'node:worker_threads';
import { placeView, type PlaceView } from './batch-view.ts';
import { InspectedVolume } from './inspected-volume.ts';
import { readSlotHeads } from './node-view.ts';
import { Openers } from './openers.ts';
import { BETWEEN, PIECE_BYTES, PIECES_MAX, PLACE_KIND, type PartData, type Piece } from './part.ts';
import { RingWalk } from './ring-walk.ts';

const { path, keys, slot, end, windowBytes, filter, content, used } = workerData as PartData;

let bytes = Buffer.allocUnsafeSlow(PIECE_BYTES);
let length = 0;
let places: number[] = [];
let sent = 0;

function put(timeUs: number, view: PlaceView | null): void {
  if (view === null || view.kind === 'overwritten') {
    places.push(timeUs, PLACE_KIND.unwanted, 0, 0);
    return;
  }
  const isBatch = view.kind === 'batch';
  const text = `${isBatch ? BETWEEN : ''}${JSON.stringify(view)}`;
  const taken = Buffer.byteLength(text);
  if (length + taken > bytes.length) {
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * bytes.length, length + taken));
    bytes.copy(grown, 0, 0, length);
    bytes = grown;
  }
  bytes.write(text, length);
  length += taken;
  const records = isBatch ? (view.records?.length ?? view.recordCount) : 0;
  places.push(timeUs, isBatch ? PLACE_KIND.batch : PLACE_KIND.damaged, taken, records);
}

/** Whoever reads it has gone. */
const isOver = (): boolean => Atomics.load(used, 1) !== 0;

function send(isLast: boolean): void {
  for (;;) {
    const done = Atomics.load(used, 0);
    if (sent - done < PIECES_MAX || isOver()) break;
    Atomics.wait(used, 0, done, 1000);
  }
  const numbers = Float64Array.from(places);
  const piece: Piece = { bytes: bytes.subarray(0, length), places: numbers, readBytes: walk.readBytes, isLast };
  parentPort?.postMessage(piece, [bytes.buffer, numbers.buffer]);
  sent++;
  bytes = Buffer.allocUnsafeSlow(PIECE_BYTES);
  length = 0;
  places = [];
}

const volume = InspectedVolume.open(path);
const openers = new Openers(volume, keys);
const writerPosition = (): number | null =>
  readSlotHeads(volume, volume.readHeads(), openers).find((one) => one.slot === slot)?.head?.position ?? null;
const walk = new RingWalk(volume, slot, openers, { windowBytes, writerPosition });
for (const place of walk.history(end)) {
  put(place.kind === 'batch' ? place.header.wallUs : Number.NaN, placeView(volume, place, { filter, content }));
  if (isOver()) break;
  if (length >= PIECE_BYTES / 2 || places.length >= PIECE_BYTES / 8) send(false);
}
send(true);
volume.close();
