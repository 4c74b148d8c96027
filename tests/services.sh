#!/usr/bin/env bash
# Starts and stops the real services that the tests use: Apache Kafka, PostgreSQL, TimescaleDB, a schema registry
# (Apicurio with its Confluent-compatible API). Also fetches the foreign clients that judge our own broker: Kafka's Java
# tools, kcat, kafkajs, and a Python with three clients. Needs Linux. On Debian, as root or with password-less sudo, it
# installs missing packages.
#
#   tests/services.sh up DIR [SERVICE..]   start these, or all, with data under DIR; prints `export NAME=value` lines
#   tests/services.sh down DIR             stop everything started under DIR (DIR itself stays)
#   tests/services.sh start DIR SERVICE    start one service again, on the same port and data
#   tests/services.sh stop DIR SERVICE     stop one service cleanly
#   tests/services.sh crash DIR SERVICE    stop one service like a crash: no flush, no goodbye
#
# SERVICE is kafka, postgres, timescale or registry. DIR/SERVICE/ holds its `pid`, `log` and data.
# Typical use:  exports=$(tests/services.sh up DIR) && eval "$exports"
#
# Kafka has a second listener for clients behind a proxy. It sends them to a port on which a test's proxy listens.
# TAPEDECK_TEST_KAFKA_PROXIED is PROXY:LISTENER: the port for the proxy, and the port it connects to.
#
# Only the exports go to standard output; messages go to standard error. Everything listens on 127.0.0.1, on ports that
# are free when `up` runs, so several runs can coexist. Downloads stay in a cache ($TAPEDECK_CACHE, else
# ~/.cache/tapedeck); later runs need no network.
#
# If a service's variable is set (TAPEDECK_TEST_KAFKA, TAPEDECK_TEST_POSTGRES, TAPEDECK_TEST_TIMESCALE,
# TAPEDECK_TEST_REGISTRY, TAPEDECK_TEST_PYTHON, TAPEDECK_TEST_KAFKA_JARS, TAPEDECK_TEST_KCAT, TAPEDECK_TEST_KAFKAJS), the
# given service is used and none is started. An unavailable service is skipped with a message; with CI=true it ends the
# run. Only kafkajs may always be absent: nothing else needs Node.js, so it is not installed.
set -euo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/$(basename "${BASH_SOURCE[0]}")
cache=$(realpath -m -- "${TAPEDECK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tapedeck}")

daemons=(kafka postgres timescale registry) # in the order of their ports
provided=("${daemons[@]}" python kafka_jars kcat kafkajs)

kafka_version=$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' "$here/kafka-pom.xml")
postgres_version=15
registry_version=3.0.9 # 3.3 needs Java 21; docker-compose.yml names the same version
aiokafka_version=0.14.0
confluent_version=2.16.0
exchange_calendars_version=4.13.2
fastavro_version=1.13.1
kafka_python_version=3.0.12
old_kafka_python_version=2.0.2 # the last for years; it speaks much older versions of the protocol
kafkajs_version=2.2.4
pandas_version=3.1.1 # for exchange_calendars, which accepts any version
pyarrow_version=26.0.1
pyyaml_version=6.0.3
tzdata_version=2026.6
xlrd_version=2.0.2

start_seconds=120 # enough for a cold machine that also compiles Rust on every core
stop_seconds=40   # longer than Kafka's controlled shutdown takes to give up

main() {
  local action=${1:-} dir=${2:-} service=${3:-}
  case "$action:$#" in
    down:2) ;;
    up:[2-9])
      for service in "${@:3}"; do known "$service"; done
      [ $# = 2 ] || provided=("${@:3}")
      ;;
    start:3 | stop:3 | crash:3) known "$service" ;;
    *) usage ;;
  esac
  dir=$(realpath -m -- "$dir")
  cd / # the user that runs PostgreSQL may not be able to enter the current folder
  case $action in
    up) up "$dir" ;;
    down) down "$dir" ;;
    start)
      about="$service: " # prefix of all messages
      begin "$dir"
      "start_$service" "$dir"
      ;;
    stop) stop "$dir" "$service" ;;
    crash) crash "$dir" "$service" ;;
  esac
}

usage() {
  sed -n '/^#   tests/s/^# *//p' "$self" >&2
  exit 2
}

say() { printf 'services: %s%s\n' "${about:-}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

known() {
  local each
  for each in "${provided[@]}"; do [ "$each" != "$1" ] || return 0; done
  die "unknown service \`$1\`: choose one of ${provided[*]}"
}

# ---- all services at once ---------------------------------------------------------------------------------------

# A separate process starts each service: they start in parallel, and `set -e` applies inside each (bash ignores it in a
# function whose result is tested).
up() {
  local dir=$1 service missing=0
  local -A starting=()
  begin "$dir"
  rm -f "$dir"/*/address
  for service in "${provided[@]}"; do
    if given "$service"; then
      say "$service: using the given $(variable "$service")=$(redacted "$(value_of "$service")")"
    else
      bash "$self" start "$dir" "$service" </dev/null >&2 &
      starting[$service]=$!
    fi
  done
  for service in "${!starting[@]}"; do
    wait "${starting[$service]}" || missing=1
  done
  print_exports "$dir"
  if [ "$missing" = 1 ]; then report_missing "$dir"; fi
}

down() {
  local dir=$1 service stopping=() pid
  for service in "${daemons[@]}"; do
    stop "$dir" "$service" &
    stopping+=($!)
  done
  for pid in "${stopping[@]}"; do wait "$pid"; done
}

# Prepares DIR. Its mode is widened because PostgreSQL may run as another user, who must be able to enter it.
begin() {
  local block
  mkdir -p "$1"
  if [ -O "$1" ]; then chmod a+x "$1"; fi
  if [ -e "$1/first_port" ]; then return; fi
  block=$(free_block)
  echo "$block" >"$1/first_port"
}

variable() { printf 'TAPEDECK_TEST_%s' "${1^^}"; }

value_of() {
  local name
  name=$(variable "$1")
  printf '%s' "${!name:-}"
}

given() { [ -n "$(value_of "$1")" ]; }

# A given database address may contain a password.
redacted() { sed -E 's|(://[^:/@]*):[^@]*@|\1:***@|' <<<"$1"; }

# A started service has written its address to DIR/<service>/address.
print_exports() {
  local dir=$1 service
  for service in "${provided[@]}"; do
    if given "$service"; then
      printf 'export %s=%q\n' "$(variable "$service")" "$(value_of "$service")"
    elif [ -s "$dir/$service/address" ]; then
      printf 'export %s=%q\n' "$(variable "$service")" "$(<"$dir/$service/address")"
      if [ "$service" = kafka ]; then echo "export TAPEDECK_TEST_KAFKA_PROXIED=$(proxied_ports "$dir")"; fi
    fi
  done
}

report_missing() {
  local dir=$1 service
  for service in "${provided[@]}"; do
    if given "$service" || [ -s "$dir/$service/address" ]; then continue; fi
    say "$service is unavailable: tests that need $(variable "$service") are skipped"
  done
  if [ "${CI:-}" = true ]; then die "a service is missing and CI=true: see the messages above"; fi
}

# ---- one daemon: ports, start, stop -----------------------------------------------------------------------------

# Ten free ports in a row. They are below 32768, so that no outgoing connection takes the port of a service during its
# restart. The search starts at the process id, so that simultaneous runs try different ports.
free_block() {
  local attempt block
  for attempt in {0..1199}; do
    block=$((20000 + ($$ + attempt) % 1200 * 10))
    if block_is_free "$block"; then
      echo "$block"
      return
    fi
  done
  die "no ten free ports in a row between 20000 and 32000"
}

block_is_free() {
  local port
  for port in $(seq "$1" $(($1 + 9))); do
    if answers "$port"; then return 1; fi
  done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port DIR SERVICE
port() {
  local position=0
  while [ "${daemons[$position]}" != "$2" ]; do position=$((position + 1)); done
  echo $(($(<"$1/first_port") + position))
}

# The last three of the ten ports are Kafka's: the proxy's, the one the proxy connects to, and the controller's.
proxied_ports() { echo "$(($(<"$1/first_port") + 7)):$(($(<"$1/first_port") + 8))"; }

# launch HOME COMMAND...: runs COMMAND in its own session, so that Ctrl-C in a terminal does not reach it and only its
# starter ends it.
launch() {
  local home=$1
  shift
  : >"$home/log"
  setsid "$@" </dev/null >>"$home/log" 2>&1 &
  echo $! >"$home/pid"
  born $! >"$home/born"
}

# Start time of a process, in clock ticks since boot. Pid and start time identify a process; the pid alone may be reused.
born() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) } # the command's name may hold blanks and brackets
  awk '$1 != "Z" { print $20 }' <<<"$stat"
}

running() {
  local home=$1
  [ -s "$home/pid" ] && [ -s "$home/born" ] && [ "$(born "$(<"$home/pid")")" = "$(<"$home/born")" ]
}

# await HOME COMMAND...: waits until COMMAND succeeds; fails at once if the daemon has died.
await() {
  local home=$1 end=$((SECONDS + start_seconds))
  shift
  until "$@" >/dev/null 2>&1; do
    running "$home" || die "ended during its start; last lines of $home/log: $(tail -n 3 "$home/log")"
    [ "$SECONDS" -lt "$end" ] || die "no response within $start_seconds s; see $home/log"
    sleep 0.1
  done
}

# SIGINT is PostgreSQL's `fast` shutdown (SIGTERM would wait for its clients).
stop() {
  case $2 in
    kafka | registry) end_with "$1/$2" TERM ;;
    *) end_with "$1/$2" INT ;;
  esac
}

# SIGQUIT is PostgreSQL's `immediate` shutdown: no checkpoint, recovery at the next start. After SIGKILL its backends
# would survive for a moment, and the next start would fail because of them.
crash() {
  case $2 in
    kafka | registry) end_with "$1/$2" KILL ;;
    *) end_with "$1/$2" QUIT ;;
  esac
}

end_with() {
  local home=$1 signal=$2 pid end=$((SECONDS + stop_seconds))
  if ! running "$home"; then return; fi
  pid=$(<"$home/pid")
  kill -CONT "$pid" 2>/dev/null || true # a test may have paused it
  kill -"$signal" "$pid" 2>/dev/null || true
  while running "$home"; do
    if [ "$SECONDS" -ge "$end" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    sleep 0.05
  done
  rm -f "$home/pid" "$home/born"
}

# ---- the cache and Debian packages ------------------------------------------------------------------------------

# cached NAME BUILD: makes sure that the folder NAME is in the cache. `BUILD FOLDER` fills it under another name first, so
# that a folder with its final name is always complete. Of two runs, the lock makes the second wait for the first.
cached() {
  local target=$cache/$1 build=$2
  if [ -d "$target" ]; then return; fi
  mkdir -p "$cache"
  (
    flock 9
    if [ -d "$target" ]; then exit; fi
    say "fetching $1 (once)"
    rm -rf "$target.partial"
    mkdir "$target.partial"
    "$build" "$target.partial"
    mv "$target.partial" "$target"
  ) 9>"$target.lock"
}

# installed COMMAND PACKAGE...: makes sure that COMMAND exists; installs Debian packages if permitted.
installed() {
  local command=$1
  shift
  command -v "$command" >/dev/null || install_packages "$@"
  command -v "$command" >/dev/null || die "\`$command\` is missing even after installing $*"
}

install_packages() {
  command -v apt-get >/dev/null || die "missing and apt-get is unavailable; install: $*"
  as_root true 2>/dev/null || die "missing and not root; run as root: apt-get install $*"
  mkdir -p "$cache"
  (
    flock 7 # apt itself does not wait for another apt
    say "installing $*"
    as_root apt-get -qq update >&2
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" >&2
  ) 7>"$cache/apt.lock"
}

as_root() {
  if [ "$EUID" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# ---- Java -------------------------------------------------------------------------------------------------------

# These processes live for minutes: the quick compiler and the serial collector halve their start time.
java_options=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData)

need_java() {
  installed java default-jre-headless
  [ "$(java_version)" -ge 17 ] || die "needs Java 17 or newer, found Java $(java_version)"
}

java_version() { java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'; }

# One at a time: Maven's download cache does not support two processes.
maven() {
  installed mvn maven
  (
    flock 8
    mvn -q -B -Dstyle.color=never "$@" >"$cache/maven.log" 2>&1 || die "Maven failed: $(grep -m 1 ERROR "$cache/maven.log")"
  ) 8>"$cache/maven.lock"
}

# ---- Kafka ------------------------------------------------------------------------------------------------------

# With Kafka's command-line tools. Caches filled before the tools were needed have another name.
kafka_jars=kafka-$kafka_version-tools

start_kafka_jars() {
  need_java
  cached "$kafka_jars" build_kafka
  mkdir -p "$1/kafka_jars"
  echo "$cache/$kafka_jars" >"$1/kafka_jars/address"
  say "Kafka's Java tools $kafka_version in $cache/$kafka_jars"
}

start_kafka() {
  local dir=$1 home=$1/kafka port
  need_java
  cached "$kafka_jars" build_kafka
  port=$(port "$dir" kafka)
  mkdir -p "$home/tmp"
  write_kafka_config "$home" "$port" $(($(<"$dir/first_port") + 9)) "$(proxied_ports "$dir")"
  [ -e "$home/data/meta.properties" ] || format_kafka "$home"
  if ! running "$home"; then
    launch "$home" java -Xmx512m "${java_options[@]}" "-Djava.io.tmpdir=$home/tmp" \
      "-Dlog4j2.configurationFile=$home/log4j2.properties" -cp "$cache/$kafka_jars/*" kafka.Kafka "$home/server.properties"
  fi
  # The port opens before the broker serves; it logs this line once it does.
  await "$home" grep -q 'Kafka Server started' "$home/log"
  echo "127.0.0.1:$port" >"$home/address"
  say "Apache Kafka $kafka_version at 127.0.0.1:$port"
}

build_kafka() {
  maven -f "$here/kafka-pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$1"
}

# One process is both broker and controller (KRaft). The group and transaction topics get few partitions, because
# creating the default fifty takes longer than most tests. After a crash the broker waits until the session of its
# predecessor ends (broker.session.timeout.ms): long enough for a busy machine, shorter than the default nine seconds.
#
# A test can add listeners (`,SASL_SSL://localhost:PORT` in the file DIR/kafka/listeners), settings (.../settings) and
# arguments for the formatting of the data folder (.../format, one a line), e.g. users.
write_kafka_config() {
  local home=$1 port=$2 controller_port=$3 proxied=$4 more
  more=$(cat "$home/listeners" 2>/dev/null || true)
  cat >"$home/server.properties" <<EOF
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,PROXIED://127.0.0.1:${proxied#*:},CONTROLLER://127.0.0.1:$controller_port$more
advertised.listeners=PLAINTEXT://127.0.0.1:$port,PROXIED://127.0.0.1:${proxied%:*}$more
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller_port
log.dirs=$home/data
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=4194304
EOF
  if [ -e "$home/settings" ]; then cat "$home/settings" >>"$home/server.properties"; fi
  cat >"$home/log4j2.properties" <<'EOF'
rootLogger.level=WARN
rootLogger.appenderRef.standard.ref=standard
appender.standard.type=Console
appender.standard.name=standard
appender.standard.layout.type=PatternLayout
appender.standard.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
EOF
}

# Every run gets its own cluster id, like every real cluster.
format_kafka() {
  local home=$1 cluster_id more=()
  rm -rf "$home/data"
  if [ -e "$home/format" ]; then mapfile -t more <"$home/format"; fi
  cluster_id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c 1-22)
  java -Xmx128m "${java_options[@]}" "-Dlog4j2.configurationFile=$home/log4j2.properties" \
    -cp "$cache/$kafka_jars/*" kafka.tools.StorageTool format --standalone -t "$cluster_id" -c "$home/server.properties" \
    "${more[@]}" >"$home/format.log" 2>&1 || die "cannot format the data folder: $(tail -n 3 "$home/format.log")"
}

# ---- schema registry --------------------------------------------------------------------------------------------

# Apicurio Registry with its embedded database in a file, so that it keeps its schemas across restarts.
start_registry() {
  local home=$1/registry port url
  need_java
  cached "apicurio-$registry_version" build_registry
  port=$(port "$1" registry)
  url=http://127.0.0.1:$port/apis/ccompat/v7
  mkdir -p "$home/tmp"
  if ! running "$home"; then
    launch "$home" java -Xmx256m "${java_options[@]}" "-Djava.io.tmpdir=$home/tmp" \
      -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$port" \
      "-Dapicurio.datasource.url=jdbc:h2:file:$home/data/registry" -Dquarkus.http.access-log.enabled=false \
      '-Dquarkus.log.category."io.apicurio".level=WARN' \
      -jar "$cache/apicurio-$registry_version/apicurio-registry-app-$registry_version-runner.jar"
  fi
  await "$home" registry_answers "$port"
  echo "$url" >"$home/address"
  say "Apicurio Registry $registry_version at $url"
}

# In a subshell, because a refused connection would end this shell, not only the function.
registry_answers() (
  exec 3<>"/dev/tcp/127.0.0.1/$1"
  printf 'GET /apis/ccompat/v7/subjects HTTP/1.0\r\n\r\n' >&3
  read -r -t 30 status <&3
  [[ $status == *' 200 '* ]]
)

build_registry() {
  local archive=$1/apicurio-registry-app-$registry_version-all.tar.gz
  maven dependency:copy "-Dartifact=io.apicurio:apicurio-registry-app:$registry_version:tar.gz:all" "-DoutputDirectory=$1"
  tar -xzf "$archive" -C "$1"
  rm "$archive"
}

# ---- PostgreSQL and TimescaleDB ---------------------------------------------------------------------------------

start_postgres() {
  installed sqlite3 sqlite3 # runs the scripts of `migrate sql`, as psql does
  local bin=/usr/lib/postgresql/$postgres_version/bin
  [ -x "$bin/postgres" ] || install_postgres
  start_database "$1" postgres "$bin"
  say "PostgreSQL $postgres_version at $(<"$1/postgres/address")"
}

# By default Debian also creates a cluster and starts it on port 5432; this setting prevents that.
install_postgres() {
  local setting=/etc/postgresql-common/createcluster.d/tapedeck.conf
  as_root mkdir -p "${setting%/*}" || die "missing and not root; run as root: apt-get install postgresql-$postgres_version"
  echo 'create_main_cluster = false' | as_root tee "$setting" >/dev/null
  install_packages "postgresql-$postgres_version" || true # checked below; the setting must go in any case
  as_root rm -f "$setting"
  [ -x "/usr/lib/postgresql/$postgres_version/bin/postgres" ] || die "cannot install postgresql-$postgres_version: see the messages of apt-get above"
}

start_timescale() {
  local bin
  cached timescale-pg17 build_timescale
  bin=$(timescale_root "$1")/usr/lib/postgresql/17/bin
  start_database "$1" timescale "$bin" "shared_preload_libraries = 'timescaledb'" 'timescaledb.telemetry_level = off' 'jit = off'
  # In template1, so that later databases have it too.
  query "$1" timescale "$bin" template1 'create extension if not exists timescaledb'
  query "$1" timescale "$bin" tapedeck 'create extension if not exists timescaledb'
  say "TimescaleDB on PostgreSQL 17 at $(<"$1/timescale/address")"
}

# start_database DIR SERVICE BIN SETTING...
start_database() {
  local dir=$1 service=$2 bin=$3 home=$1/$2
  shift 3
  mkdir -p "$home"
  as_service_user test -x "$home" || die "user $service_user cannot enter $home; choose a folder it can enter"
  [ -d "$home/data" ] || create_cluster "$dir" "$service" "$bin" "$@"
  if ! running "$home"; then launch "$home" "${service_command[@]}" "$bin/postgres" -D "$home/data"; fi
  await "$home" query "$dir" "$service" "$bin" postgres 'select 1'
  [ -n "$(query "$dir" "$service" "$bin" postgres "select 1 from pg_database where datname = 'tapedeck'")" ] ||
    query "$dir" "$service" "$bin" postgres 'create database tapedeck'
  echo "postgres://tapedeck@127.0.0.1:$(port "$dir" "$service")/tapedeck" >"$home/address"
}

# Everyone on this machine may log in, over loopback only: it holds test data. Durability is as in production, because
# the tests crash it. A cluster under its final name is complete.
create_cluster() {
  local dir=$1 service=$2 bin=$3 home=$1/$2 setting
  shift 3
  rm -rf "$home/new"
  mkdir -m 700 "$home/new"
  [ "$EUID" != 0 ] || chown "$service_user:" "$home/new"
  as_service_user "$bin/initdb" -D "$home/new" -U tapedeck -A trust --locale=C -E UTF8 --no-sync >"$home/initdb.log" 2>&1 ||
    die "cannot create the data folder; last lines of $home/initdb.log: $(tail -n 3 "$home/initdb.log")"
  for setting in "listen_addresses = '127.0.0.1'" "unix_socket_directories = ''" "port = $(port "$dir" "$service")" \
    'max_connections = 200' "$@"; do
    echo "$setting" >>"$home/new/postgresql.conf"
  done
  mv "$home/new" "$home/data"
}

# query DIR SERVICE BIN DATABASE SQL
query() {
  PGOPTIONS='-c client_min_messages=warning' "$3/psql" -X -q -h 127.0.0.1 -p "$(port "$1" "$2")" -U tapedeck -d "$4" \
    -v ON_ERROR_STOP=1 -Atc "$5"
}

# PostgreSQL refuses to run as root, so root starts it as a user that exists on every machine.
service_user=$(id -un)
service_command=()
if [ "$EUID" = 0 ]; then
  service_user=nobody
  service_command=(setpriv --reuid=nobody "--regid=$(id -gn nobody)" --clear-groups)
fi

as_service_user() { "${service_command[@]}" "$@"; }

# The folder with TimescaleDB's programs: the cache, or a copy made of hard links if the user that runs them cannot enter
# the cache (mostly because it is in a home folder).
timescale_root() {
  local source=$cache/timescale-pg17 copy=$1/timescale/programs
  if as_service_user test -x "$source/usr"; then
    echo "$source"
    return
  fi
  if [ ! -d "$copy" ]; then
    mkdir -p "${copy%/*}"
    cp -al "$source" "$copy.new" 2>/dev/null || cp -a "$source/." "$copy.new"
    mv "$copy.new" "$copy"
  fi
  echo "$copy"
}

# Debian 12 has no TimescaleDB, Debian 13 has: PostgreSQL 17 with TimescaleDB's Apache edition (hypertables, time_bucket
# and drop_chunks, but no compression, policies or continuous aggregates). A private apt state fetches its packages, and
# they are unpacked into a folder; nothing is installed. The programs run on the C library they were built for, which is
# among the packages.
build_timescale() {
  local folder=$1 deb program
  command -v apt-get >/dev/null || die "needs apt-get to fetch its Debian packages, and there is none"
  fetch_timescale "$folder"
  for deb in "$folder"/debs/*.deb; do
    case ${deb##*/} in *perl* | locales* | libc-l10n* | libllvm* | libz3*) ;; *) dpkg -x "$deb" "$folder" ;; esac
  done
  (cd "$folder" && rm -rf debs lists etc var status sources.list usr/share/{doc,man,locale,lintian,perl5})
  for program in initdb postgres psql; do wrap_program "$folder/usr/lib/postgresql/17/bin/$program"; done
}

fetch_timescale() {
  local folder=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror options
  [ -e "$keyring" ] || die "needs Debian's keys: install the package debian-archive-keyring"
  # shellcheck disable=SC2016 # apt's own placeholder, not the shell's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | awk '/\/debian\/?$/ && !found++')
  [ -n "$mirror" ] || die "found no Debian mirror in the apt sources: add one"
  mkdir -p "$folder"/{debs,lists}/partial
  : >"$folder/status"
  echo "deb [signed-by=$keyring] $mirror trixie main" >"$folder/sources.list"
  options=(-qq -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$folder/lists" -o "Dir::State::status=$folder/status" -o "Dir::Cache::archives=$folder/debs"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Debug::NoLocking=true
    -o Acquire::Languages=none -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)")
  apt-get "${options[@]}" update >&2
  apt-get "${options[@]}" install -y --download-only postgresql-17-timescaledb >&2
}

# A program from a newer Debian cannot use this machine's C library, so its own loader starts it. Its name stays the
# same, because PostgreSQL finds its other files relative to it.
wrap_program() {
  mv "$1" "$1.program"
  cat >"$1" <<'EOF'
#!/bin/sh
root=${0%/usr/lib/postgresql/*}
set -- "$0.program" "$@"
for loader in "$root"/usr/lib/*/ld-linux-*.so.*; do
  exec "$loader" --library-path "${loader%/*}" --argv0 "$0" "$@"
done
EOF
  chmod 755 "$1"
}

# ---- Python -----------------------------------------------------------------------------------------------------

# Packages and their purposes: Confluent's client and fastavro check what we write to Kafka and to a schema registry; that
# client, kafka-python and aiokafka check our own broker; pyyaml
# checks docker-compose.yml without Docker. The second parser (tests/oracle) needs xlrd for workbooks, pyarrow for
# Parquet, and tzdata, because not every system has the time zones. exchange_calendars checks the hours of markets.
start_python() {
  local name
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
  name=python-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  name+=-confluent-$confluent_version-fastavro-$fastavro_version-pyyaml-$pyyaml_version-tzdata-$tzdata_version
  name+=-xlrd-$xlrd_version-pyarrow-$pyarrow_version-pandas-$pandas_version
  name+=-exchange_calendars-$exchange_calendars_version-aiokafka-$aiokafka_version
  name+=-kafka-$kafka_python_version-and-$old_kafka_python_version
  cached "$name" build_python
  mkdir -p "$1/python"
  echo "$cache/$name/bin/python" >"$1/python/address"
  say "$cache/$name/bin/python"
}

# A renamed virtual environment works as long as its python is called, not the scripts beside it.
build_python() {
  python3 -m venv "$1" >&2
  "$1/bin/python" -m pip install -q --disable-pip-version-check \
    "confluent-kafka[avro,schemaregistry]==$confluent_version" "fastavro==$fastavro_version" \
    "pyyaml==$pyyaml_version" "tzdata==$tzdata_version" "xlrd==$xlrd_version" \
    "pyarrow==$pyarrow_version" "pandas==$pandas_version" \
    "exchange_calendars==$exchange_calendars_version" "aiokafka[lz4,snappy,zstd]==$aiokafka_version" \
    "kafka-python[lz4,snappy,zstd]==$kafka_python_version" >&2
  # In a folder of its own: a script chooses it by its search path.
  "$1/bin/python" -m pip install -q --disable-pip-version-check --no-deps --target "$1/old" \
    "kafka-python==$old_kafka_python_version" >&2
}

# ---- other clients ----------------------------------------------------------------------------------------------

start_kcat() {
  installed kcat kcat
  mkdir -p "$1/kcat"
  command -v kcat >"$1/kcat/address"
  say "kcat with librdkafka $(kcat -V | sed -n 's/.*librdkafka \([0-9.]*\).*/\1/p')"
}

# Writes no address if Node.js is absent, which is no failure: only the test of kafkajs is left out.
start_kafkajs() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    say 'Node.js with npm is not installed: the test of kafkajs is left out'
    return
  fi
  cached "kafkajs-$kafkajs_version" build_kafkajs
  mkdir -p "$1/kafkajs"
  echo "$cache/kafkajs-$kafkajs_version" >"$1/kafkajs/address"
  say "kafkajs $kafkajs_version in $cache/kafkajs-$kafkajs_version"
}

build_kafkajs() {
  npm install --silent --no-audit --no-fund --no-update-notifier --prefix "$1" "kafkajs@$kafkajs_version" >&2
}

main "$@"
