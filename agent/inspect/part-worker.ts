/** The thread that shows one ring. */
import { parentPort, workerData } from 'node:worker_threads';
import { InspectedVolume } from './inspected-volume.ts';
import { JsonBytes } from './json-bytes.ts';
import { readSlotHeads } from './node-view.ts';
import { Openers } from './openers.ts';
import { BETWEEN, PIECE_BYTES, PIECES_MAX, PLACE_KIND, type PartData, type Piece } from './part.ts';
import { PlaceJson } from './place-json.ts';
import { RingWalk, type Place } from './ring-walk.ts';

const { path, keys, slot, end, windowBytes, filter, content, used } = workerData as PartData;

const json = new JsonBytes(PIECE_BYTES);
let places: number[] = [];
let sent = 0;

function put(timeUs: number, place: Place): void {
  const { length } = json;
  const done = shown.put(place, BETWEEN, json);
  if (done === null || done.kind === 'overwritten') {
    json.cut(length);
    places.push(timeUs, PLACE_KIND.unwanted, 0, 0);
    return;
  }
  const kind = done.kind === 'batch' ? PLACE_KIND.batch : PLACE_KIND.damaged;
  places.push(timeUs, kind, json.length - length, done.records);
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
  const bytes = json.take();
  const piece: Piece = { bytes, places: numbers, readBytes: walk.readBytes, isLast };
  parentPort?.postMessage(piece, [bytes.buffer, numbers.buffer]);
  sent++;
  places = [];
}

const volume = InspectedVolume.open(path);
const openers = new Openers(volume, keys);
const writerPosition = (): number | null =>
  readSlotHeads(volume, volume.readHeads(), openers).find((one) => one.slot === slot)?.head?.position ?? null;
const walk = new RingWalk(volume, slot, openers, { windowBytes, writerPosition });
const shown = new PlaceJson(volume, { filter, content });
for (const place of walk.history(end)) {
  put(place.kind === 'batch' ? place.header.wallUs : Number.NaN, place);
  if (isOver()) break;
  if (json.length >= PIECE_BYTES / 2 || places.length >= PIECE_BYTES / 8) send(false);
}
send(true);
volume.close();
