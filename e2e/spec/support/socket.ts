// A WebSocket client that does what no browser does: writes any bytes, and leaves unread what it is sent.

import { randomBytes } from 'node:crypto';
import net from 'node:net';

/** Version of the wire; the first byte of every message. */
const VERSION = 1;

/** Kinds of WebSocket frames. */
export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, reserved: 3 } as const;

/** A connection after its upgrade. */
export class RawSocket {
  /** Bytes received so far. */
  received = 0;
  /** Ready when the other side has closed. */
  readonly closed: Promise<void>;

  private constructor(private readonly socket: net.Socket) {
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    // A reset is one way of closing; 'close' follows.
    socket.on('error', () => {});
    socket.on('data', (data) => (this.received += data.length));
  }

  /** Opens one to the agent behind an address, as its own page would. */
  static open(address: string): Promise<RawSocket> {
    const { hostname, port, host } = new URL(address);
    return new Promise((resolve, reject) => {
      const socket = net.connect(Number(port), hostname);
      socket.once('error', reject);
      socket.once('data', (head) => {
        socket.off('error', reject);
        if (head.toString('latin1').startsWith('HTTP/1.1 101 ')) resolve(new RawSocket(socket));
        else reject(new Error(`no upgrade: ${head.toString('latin1').split('\r\n')[0]}`));
      });
      socket.write(
        `GET /ws HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
      );
    });
  }

  /** Bytes as they are. */
  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** One frame; clients mask what they send. */
  send(opcode: number, payload: Uint8Array): void {
    const mask = randomBytes(4);
    const masked = payload.map((byte, i) => byte ^ mask[i % 4]!);
    this.write(Buffer.concat([head(opcode, payload.length), mask, masked]));
  }

  /** Subscribes to tables by their numbers; more than there are do no harm. */
  subscribe(topics: number[]): void {
    // postcard: variant 0 of ClientMessage, then a vector of bytes; all lengths here are below 128.
    this.send(OPCODE.binary, Uint8Array.from([VERSION, 0, topics.length, ...topics]));
  }

  /** Reads nothing from now on: the kernel's buffers fill, then the agent's writes wait. */
  stopReading(): void {
    this.socket.pause();
  }

  /** Ends it without a word. */
  destroy(): void {
    this.socket.destroy();
  }
}

function head(opcode: number, length: number): Buffer {
  const final = 0x80 | opcode;
  if (length < 126) return Buffer.from([final, 0x80 | length]);
  const long = Buffer.alloc(length < 65_536 ? 4 : 10);
  long[0] = final;
  long[1] = 0x80 | (length < 65_536 ? 126 : 127);
  if (length < 65_536) long.writeUInt16BE(length, 2);
  else long.writeBigUInt64BE(BigInt(length), 2);
  return long;
}
