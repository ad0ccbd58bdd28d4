/** Three sites of one group: a source at home, targets in the east and in the west, each fit to be either. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKeyText } from '../../agent/settings/key.ts';
import { freePort } from './mirror-pair.ts';
import { MirrorProcess } from './mirror-process.ts';

export type Site = 'home' | 'east' | 'west';
export const SITES = ['home', 'east', 'west'] as const;

export class MirrorSites {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'stillbeat-sites-'));
  readonly site: Readonly<Record<Site, MirrorProcess>> = {
    home: new MirrorProcess(this.folder, 'home', 'source'),
    east: new MirrorProcess(this.folder, 'east', 'target'),
    west: new MirrorProcess(this.folder, 'west', 'target'),
  };

  private constructor(volumeBytes: number, ports: Readonly<Record<Site, number>>) {
    const at = (name: string): string => join(this.folder, name);
    writeFileSync(at('key'), newKeyText(randomBytes(32)), { mode: 0o600 });
    for (const site of SITES) {
      const { role, config, control, socket } = this.site[site];
      writeFileSync(this.volume(site), '');
      truncateSync(this.volume(site), volumeBytes);
      const others = SITES.filter((name) => name !== site);
      const asSource = {
        targets: others.map((name) => ({ name, connect: `127.0.0.1:${ports[name]}` })),
        acknowledge: 'sync',
        cycleMs: 50,
        inquiry: { intervalMs: 50, misses: 10 },
      };
      const asTarget = { name: site, listen: `127.0.0.1:${ports[site]}` };
      const settings = {
        group: 'erp',
        role,
        keyFile: at('key'),
        journal: { path: at(`${site}.journal`), size: '8M', window: '4M' },
        volumes: [{ name: 'data', path: this.volume(site) }],
        export: { listen: `unix:${socket}` },
        control: { socket: control },
        log: { path: at('log') },
      };
      const own = role === 'source' ? { ...asSource, failback: asTarget } : { ...asTarget, takeover: asSource };
      writeFileSync(config, JSON.stringify({ ...settings, ...own }));
    }
  }

  static async make(volumeBytes: number): Promise<MirrorSites> {
    return new MirrorSites(volumeBytes, { home: await freePort(), east: await freePort(), west: await freePort() });
  }

  volume(site: Site): string {
    return join(this.folder, `${site}.volume`);
  }

  content(site: Site): Buffer {
    return readFileSync(this.volume(site));
  }

  async remove(): Promise<void> {
    for (const site of SITES) await this.site[site].end('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
