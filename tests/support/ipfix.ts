/** An IPFIX decoder, written from RFC 7011 and knowing nothing of our encoder: templates first, then data by them. */

/** Values by information element number, as unsigned integers. */
export type IpfixRecord = Map<number, bigint>;

interface Template {
  scopes: number;
  fields: { id: number; lenBytes: number }[];
}

export interface IpfixMessage {
  exportSeconds: number;
  sequence: number;
  domain: number;
  /** Template ids that the message defines. */
  defines: number[];
  data: { templateId: number; record: IpfixRecord }[];
}

export class IpfixDecoder {
  readonly #templates = new Map<number, Template>();

  /** @throws {TypeError} for anything that the RFC does not allow, or whose template has not come */
  decode(bytes: Uint8Array<ArrayBuffer>): IpfixMessage {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.getUint16(0) !== 10) throw new TypeError(`version ${view.getUint16(0)}`);
    if (view.getUint16(2) !== bytes.length) throw new TypeError(`length ${view.getUint16(2)} of ${bytes.length}`);
    const message: IpfixMessage = {
      exportSeconds: view.getUint32(4),
      sequence: view.getUint32(8),
      domain: view.getUint32(12),
      defines: [],
      data: [],
    };
    for (let at = 16; at < bytes.length;) {
      const setId = view.getUint16(at);
      const setBytes = view.getUint16(at + 2);
      if (setBytes < 4 || at + setBytes > bytes.length) throw new TypeError(`a set of ${setBytes} bytes`);
      const set = new DataView(bytes.buffer, bytes.byteOffset + at + 4, setBytes - 4);
      if (setId === 2 || setId === 3) message.defines.push(...this.#defineTemplates(set, setId === 3));
      else message.data.push(...this.#readData(set, setId));
      at += setBytes;
    }
    return message;
  }

  #defineTemplates(set: DataView, options: boolean): number[] {
    const ids: number[] = [];
    // What is too short for a template is padding.
    for (let at = 0; at + 4 <= set.byteLength;) {
      const id = set.getUint16(at);
      const count = set.getUint16(at + 2);
      if (id < 256) throw new TypeError(`template ${id}`);
      const scopes = options ? set.getUint16(at + 4) : 0;
      if (options && scopes === 0) throw new TypeError(`options template ${id} without a scope`);
      at += options ? 6 : 4;
      const fields: Template["fields"] = [];
      for (let i = 0; i < count; i++, at += 4) {
        if (set.getUint16(at) >= 0x8000) throw new TypeError("an enterprise's element");
        fields.push({ id: set.getUint16(at), lenBytes: set.getUint16(at + 2) });
      }
      this.#templates.set(id, { scopes, fields });
      ids.push(id);
    }
    return ids;
  }

  #readData(set: DataView, templateId: number): IpfixMessage["data"] {
    const template = this.#templates.get(templateId);
    if (template === undefined) throw new TypeError(`data of template ${templateId}, which is not known`);
    const recordBytes = template.fields.reduce((sum, { lenBytes }) => sum + lenBytes, 0);
    const data: IpfixMessage["data"] = [];
    for (let at = 0; at + recordBytes <= set.byteLength;) {
      const record: IpfixRecord = new Map();
      for (const { id, lenBytes } of template.fields) {
        let value = 0n;
        for (let i = 0; i < lenBytes; i++) value = value << 8n | BigInt(set.getUint8(at + i));
        record.set(id, value);
        at += lenBytes;
      }
      data.push({ templateId, record });
    }
    return data;
  }
}

/** Cuts a stream of messages at the lengths that they state. @returns whole messages, and what is left */
export function splitStream(bytes: Uint8Array<ArrayBuffer>): { messages: Uint8Array<ArrayBuffer>[]; rest: number } {
  const messages: Uint8Array<ArrayBuffer>[] = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const lenBytes = bytes[at + 2] << 8 | bytes[at + 3];
    if (at + lenBytes > bytes.length) break;
    messages.push(bytes.slice(at, at + lenBytes));
    at += lenBytes;
  }
  return { messages, rest: bytes.length - at };
}
