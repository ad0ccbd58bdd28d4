/** Files of data on the way by a folder (OS7): whose they are is told by their names, for others may put things there too. */
const SESSION_DIGITS = 12;
const NUMBER_DIGITS = 10;

export const dataFileName = (session: number, number: number): string =>
  `${prefixOf(session)}${String(number).padStart(NUMBER_DIGITS, '0')}.data`;

/** Whether it is the name of a whole file of this session. */
export function isDataFile(name: string, session: number): boolean {
  const prefix = prefixOf(session);
  return name.startsWith(prefix) && /^\d{10,}\.data$/.test(name.slice(prefix.length));
}

const prefixOf = (session: number): string => `${session.toString(16).padStart(SESSION_DIGITS, '0')}-`;
