/**
 * CRC-32C (Castagnoli), computed eight bytes at a time (slicing-by-8). The runtime offers only CRC-32, whose polynomial
 * detects fewer errors.
 */

const POLYNOMIAL = 0x82f63b78; // reversed

/** Eight tables of 256: table n has the effect of a byte that n zero bytes follow. */
const TABLES = makeTables();

function makeTables(): Uint32Array<ArrayBuffer> {
  const tables = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) tables[i] = tables[i - 256] >>> 8 ^ tables[tables[i - 256] & 0xff];
  return tables;
}

/**
 * @param start the checksum of what comes before `bytes`
 * @example
 *     crc32c(new TextEncoder().encode("123456789")) === 0xe3069283
 */
export function crc32c(bytes: Uint8Array, start = 0): number {
  let crc = ~start;
  let i = 0;
  for (const end = bytes.length - 7; i < end; i += 8) {
    crc ^= bytes[i] | bytes[i + 1] << 8 | bytes[i + 2] << 16 | bytes[i + 3] << 24;
    crc = TABLES[1792 + (crc & 0xff)] ^ TABLES[1536 + (crc >>> 8 & 0xff)] ^ TABLES[1280 + (crc >>> 16 & 0xff)] ^
      TABLES[1024 + (crc >>> 24)] ^ TABLES[768 + bytes[i + 4]] ^ TABLES[512 + bytes[i + 5]] ^
      TABLES[256 + bytes[i + 6]] ^ TABLES[bytes[i + 7]];
  }
  for (; i < bytes.length; i++) crc = crc >>> 8 ^ TABLES[(crc ^ bytes[i]) & 0xff];
  return ~crc >>> 0;
}
