/** What a traffic process is told to be (`traffic-entry.ts`): its one argument, as JSON. */
export type TrafficRole =
  | {
      readonly role: 'udp-send';
      readonly target: string;
      readonly port: number;
      readonly perSecond: number;
      /** Length of the UDP payload. */
      readonly bytes: number;
      /** True when the receiver sends every packet back: round trips are measured too. */
      readonly echo: boolean;
    }
  | { readonly role: 'udp-receive'; readonly address: string; readonly port: number; readonly echo: boolean }
  | {
      readonly role: 'mesh';
      readonly address: string;
      readonly port: number;
      readonly perSecond: number;
      readonly peers: readonly { readonly node: string; readonly address: string }[];
    }
  | {
      readonly role: 'tcp-send';
      readonly target: string;
      readonly port: number;
      readonly seed: number;
      /** Null for as fast as it goes. */
      readonly bytesPerSecond: number | null;
    }
  | { readonly role: 'tcp-receive'; readonly address: string; readonly port: number; readonly seed: number };
