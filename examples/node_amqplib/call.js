// Send one message with amqplib: npm install && node call.js [CHAT_ID].
'use strict';

const amqp = require('amqplib');
const { randomUUID } = require('node:crypto');

const REPLY_TO = 'amq.rabbitmq.reply-to';
// A reply comes at the latest 1 s after the deadline; clocks may differ by 2 s.
const GRACE_MS = 3000;

// One connection for any number of concurrent calls. amqplib does not reconnect: when `closed`
// settles, every call that waits has failed and a new producer is needed.
async function connect(url, app = 'default') {
  const user = decodeURIComponent(new URL(url).username || 'guest');
  const connection = await amqp.connect(url, {
    heartbeat: 10,
    clientProperties: { connection_name: 'node-example' },
  });
  const channel = await connection.createConfirmChannel();
  const waiting = new Map();

  const failAll = (error) => {
    for (const call of waiting.values()) call.reject(error);
    waiting.clear();
  };
  const closed = new Promise((resolve) => connection.on('close', resolve));
  connection.on('error', failAll);
  connection.on('close', () => failAll(new Error('the connection closed')));
  channel.on('error', failAll);
  channel.on('return', (message) => {
    const call = waiting.get(message.properties.correlationId);
    if (call) call.reject(new Error('no queue takes this app and lane'));
  });

  // Before the first publish and on the same channel, or the broker refuses it.
  await channel.consume(REPLY_TO, (message) => {
    const call = message && waiting.get(message.properties.correlationId);
    if (call) call.resolve(JSON.parse(message.content));
  }, { noAck: true });

  // Resolves once the broker has the call; rejects when its queue is full.
  const publish = (call, { callId = randomUUID(), lane = 'bulk', ...reply } = {}) =>
    new Promise((resolve, reject) => {
      channel.publish('lark.calls', `${app}.${lane}`, Buffer.from(JSON.stringify(call)), {
        mandatory: true,
        persistent: true,
        contentType: 'application/json',
        type: 'lark.call.v1',
        messageId: callId,
        userId: user,
        ...reply,
      }, (error) => (error ? reject(error) : resolve(callId)));
    });

  // Resolves with the reply. After a rejection the call may have been made: keep its id.
  const call = (request, { callId = randomUUID(), timeoutMs = 10000 } = {}) =>
    new Promise((resolve, reject) => {
      const correlationId = randomUUID();
      const end = (settle) => (value) => {
        clearTimeout(timer);
        waiting.delete(correlationId);
        settle(value);
      };
      const timer = setTimeout(
        () => end(reject)(new Error(`no reply to ${callId}: is a gateway running?`)),
        timeoutMs + GRACE_MS,
      );
      waiting.set(correlationId, { resolve: end(resolve), reject: end(reject) });
      publish(request, {
        callId,
        lane: 'interactive',
        correlationId,
        replyTo: REPLY_TO,
        expiration: String(timeoutMs),
        headers: { 'lark-deadline': Date.now() + timeoutMs },
      }).catch(end(reject));
    });

  return { call, publish, closed, close: () => connection.close() };
}

async function main() {
  const lark = await connect(process.env.RABBITMQ_URL || 'amqp://guest:guest@localhost/%2F');
  const message = {
    method: 'POST',
    path: '/open-apis/im/v1/messages',
    query: { receive_id_type: 'chat_id' },
    body: {
      receive_id: process.argv[2] || 'oc_example',
      msg_type: 'text',
      content: JSON.stringify({ text: 'hello from Node' }),
    },
  };
  try {
    const reply = await lark.call(message, { callId: `hello-${randomUUID()}` });
    if (!reply.ok) throw new Error(`${reply.error.type}: ${reply.error.message}`);
    console.log(`sent ${reply.response.body.data.message_id}`);
    console.log(`handed over ${await lark.publish(message, { callId: `bye-${randomUUID()}` })}`);
  } finally {
    await lark.close();
  }
}

module.exports = { connect };

if (require.main === module) {
  main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
