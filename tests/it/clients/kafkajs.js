// kafkajs against the broker: kafkajs.js FOLDER ADDRESS. FOLDER holds its node_modules.

const assert = require('node:assert')
const path = require('node:path')
const [folder, address] = process.argv.slice(2)
const modules = path.join(folder, 'node_modules', 'kafkajs')
const { CompressionTypes, Kafka, logLevel } = require(modules)

const RECORDS = 400
const FIRST_TIME = 1_700_000_000_000
const KEPT = [{ name: 'retention.ms', value: '-1' }] // the records are years old
// The client brings no other codec.
const CODECS = [CompressionTypes.None, CompressionTypes.GZIP]
const TOTAL = RECORDS * CODECS.length

const kafka = new Kafka({ clientId: 'judge', brokers: [address], logLevel: logLevel.ERROR })

async function produce() {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (const [round, compression] of CODECS.entries()) {
    const numbers = Array.from({ length: RECORDS }, (_, at) => round * RECORDS + at)
    const messages = numbers.map(number => ({
      key: `k${number % 10}`,
      value: `${number}`,
      timestamp: `${FIRST_TIME + number}`,
      headers: { a: ['1', '2'] },
    }))
    await producer.send({ topic: 't', acks: -1, compression, messages })
  }
  await producer.disconnect()
}

async function consume() {
  const consumer = kafka.consumer({ groupId: 'g' })
  await consumer.connect()
  await consumer.subscribe({ topic: 't', fromBeginning: true })
  const read = new Map()
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`read ${read.size} of ${TOTAL} messages`)), 60_000).unref()
    const eachMessage = async ({ partition, message }) => {
      read.set(`${partition}:${message.offset}`, message)
      if (read.size === TOTAL) resolve()
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await consumer.disconnect() // commits
  const numbers = [...read.values()].map(message => Number(message.value))
  assert.deepStrictEqual(numbers.sort((a, b) => a - b), Array.from({ length: TOTAL }, (_, at) => at))
  for (const { key, value, timestamp, headers } of read.values()) {
    assert.strictEqual(`${key}`, `k${Number(value) % 10}`)
    assert.strictEqual(Number(timestamp), FIRST_TIME + Number(value))
    assert.deepStrictEqual(headers.a.map(String), ['1', '2'])
  }
}

async function main() {
  const admin = kafka.admin()
  await admin.connect()
  assert(await admin.createTopics({ topics: [{ topic: 't', numPartitions: 2, configEntries: KEPT }], waitForLeaders: true }))
  await admin.createPartitions({ topicPartitions: [{ topic: 't', count: 3 }] })
  await produce()
  await consume()

  const ends = await admin.fetchTopicOffsets('t')
  assert.strictEqual(ends.reduce((sum, { high }) => sum + Number(high), 0), TOTAL)
  const [committed] = await admin.fetchOffsets({ groupId: 'g', topics: ['t'] })
  const offsets = places => Object.fromEntries(places.map(({ partition, offset }) => [partition, offset]))
  assert.deepStrictEqual(offsets(committed.partitions), offsets(ends))
  const early = await admin.fetchTopicOffsetsByTimestamp('t', FIRST_TIME)
  assert.deepStrictEqual(offsets(early), { 0: '0', 1: '0', 2: '0' })
  const late = await admin.fetchTopicOffsetsByTimestamp('t', FIRST_TIME + TOTAL)
  assert.deepStrictEqual(offsets(late), offsets(ends))

  assert.deepStrictEqual((await admin.listGroups()).groups.map(({ groupId }) => groupId), ['g'])
  await admin.deleteGroups(['g'])
  await admin.createTopics({ topics: [{ topic: 'u', numPartitions: 1 }] })
  await admin.deleteTopics({ topics: ['u'] })
  assert.deepStrictEqual(await admin.listTopics(), ['t'])
  assert.strictEqual((await admin.describeCluster()).brokers.length, 1)
  await admin.disconnect()
  console.log('done with', require(path.join(modules, 'package.json')).version)
}

main().then(
  () => process.exit(0),
  error => {
    console.error(error)
    process.exit(1)
  },
)
