// A chordnet client without any library: broadcasts a message through a node and prints what the
// node has recorded.
//
//     node client.mjs 127.0.0.1 7001 apple
//
// In a secured network it needs the directory of an identity as well, which p2pnet prints:
//
//     node client.mjs 127.0.0.1 7001 apple ~/.local/state/chordnet/networks/default/operator
import fs from "node:fs";
import net from "node:net";
import tls from "node:tls";

// --- MessagePack: the part of it that a client writes, and all that a node writes ---------------

function encode(value) {
  if (value === null) return Buffer.from([0xc0]);
  if (value === false || value === true) return Buffer.from([value ? 0xc3 : 0xc2]);
  if (typeof value === "number") {
    const bytes = Buffer.alloc(5, 0xce); // unsigned, 32 bits
    bytes.writeUInt32BE(value, 1);
    return value < 128 ? Buffer.from([value]) : bytes;
  }
  if (typeof value === "string") {
    const text = Buffer.from(value);
    const head = Buffer.alloc(5, 0xdb); // text, length of 32 bits
    head.writeUInt32BE(text.length, 1);
    return Buffer.concat([head, text]);
  }
  return Buffer.concat([Buffer.from([0x90 + value.length]), ...value.map(encode)]); // up to 15
}

function decode(data) {
  let at = 0;
  const take = (n) => data.subarray(at, (at += n));
  const list = (n) => Array.from({ length: n }, value);
  function value() {
    const first = data[at++];
    if (first < 0x80) return first;
    if (first < 0x90) return pairs(first & 15);
    if (first < 0xa0) return list(first & 15);
    if (first < 0xc0) return take(first & 31).toString();
    if (first >= 0xe0) return first - 256;
    switch (first) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return take(take(1).readUInt8());
      case 0xc5: return take(take(2).readUInt16BE());
      case 0xc6: return take(take(4).readUInt32BE());
      case 0xca: return take(4).readFloatBE();
      case 0xcb: return take(8).readDoubleBE();
      case 0xcc: return take(1).readUInt8();
      case 0xcd: return take(2).readUInt16BE();
      case 0xce: return take(4).readUInt32BE();
      case 0xcf: return take(8).readBigUInt64BE();
      case 0xd0: return take(1).readInt8();
      case 0xd1: return take(2).readInt16BE();
      case 0xd2: return take(4).readInt32BE();
      case 0xd3: return take(8).readBigInt64BE();
      case 0xd9: return take(take(1).readUInt8()).toString();
      case 0xda: return take(take(2).readUInt16BE()).toString();
      case 0xdb: return take(take(4).readUInt32BE()).toString();
      case 0xdc: return list(take(2).readUInt16BE());
      case 0xdd: return list(take(4).readUInt32BE());
      case 0xde: return pairs(take(2).readUInt16BE());
      case 0xdf: return pairs(take(4).readUInt32BE());
    }
    throw new Error(`no MessagePack: byte ${first}`);
  }
  function pairs(n) {
    const found = {};
    for (; n > 0; n--) { const key = value(); found[key] = value(); }
    return found;
  }
  return value();
}

// --- Frames: four bytes of big-endian length, then that many bytes ------------------------------

function frame(message) {
  const payload = encode(message);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

async function* messages(socket) {
  let buffer = Buffer.alloc(0);
  for await (const chunk of socket) {
    buffer = Buffer.concat([buffer, chunk]);
    while (buffer.length >= 4 && buffer.length >= 4 + buffer.readUInt32BE()) {
      const end = 4 + buffer.readUInt32BE();
      yield decode(buffer.subarray(4, end));
      buffer = buffer.subarray(end);
    }
  }
}

// --- The connection: plain, or TLS in which both sides show a certificate of the network ----------

function connect(host, port, identity) {
  if (!identity) return net.connect({ host, port });
  const pem = (name) => fs.readFileSync(`${identity}/${name}`);
  return tls.connect({
    host, port,
    key: pem("key.pem"),
    cert: pem("certificate.pem"),
    ca: pem("roots.pem"), // of the network's authority; no other is believed
    minVersion: "TLSv1.3",
    ALPNProtocols: ["chordnet/1"],
    // A certificate names a member instead of a host: chordnet://NETWORK/peer/NAME for a node.
    checkServerIdentity: (_host, { subjectaltname = "" }) =>
      new RegExp("^URI:chordnet://[0-9a-f]{32}/peer/").test(subjectaltname)
        ? undefined
        : new Error(`this is no node: ${subjectaltname}`),
  });
}

// --- The conversation: greet, send, ask, say goodbye ---------------------------------------------

const [host, port, phrase, identity] = process.argv.slice(2);
const socket = connect(host, Number(port), identity);
socket.write(frame([60, "chordnet", 2, "", 0, "client", null, 2])); // HELLO
for await (const [tag, first, ...rest] of messages(socket)) {
  if (tag === 61) { // WELCOME: [version, node, network, bits]
    console.log(`connected with ${rest[0][3]}`);
    socket.write(frame([101, 1, phrase, true])); // SENDMESSAGE, request 1
  } else if (tag === 121) { // SENT: [rid, receipt]
    const [, body, recorded, , sent] = rest[0];
    console.log(`${body}: recorded by ${recorded} nodes, ${sent} messages`);
    socket.write(frame([102, 2, 10, ""])); // GETMESSAGES, request 2: the newest ten
  } else if (tag === 122) { // MESSAGES: [rid, messages, more]
    for (const [, body, , , route] of rest[0]) {
      console.log(`- ${body} (${route.map(([, name]) => name).join(" -> ")})`);
    }
    socket.end(frame([63, "leaving", ""])); // BYE
  } else if (tag === 62 || tag === 126) { // REFUSE: [code, text], FAILURE: [rid, code, text]
    console.error(tag === 62 ? rest[0] : rest[1]);
    process.exitCode = 1;
    socket.end();
  }
}
