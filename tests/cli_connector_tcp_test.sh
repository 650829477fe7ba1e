#!/bin/sh
# Lines over TCP, in and out, against a peer on this machine that sends, takes, dawdles and goes away.
. "$(dirname "$0")/cli_connector.sh"
cc -O1 -D_GNU_SOURCE -o peer "$source_dir/tests/cli_connector_peer.c" || { fail "cannot build the peer"; exit 1; }

peer() { # how ...; its address is $address
    rm -f port
    ./peer port "$@" 2>peer.err &
    peer=$!
    wait_until test -s port
    address=127.0.0.1:$(cat port)
}
peer_ended() { wait $peer || fail "the peer: $(cat peer.err)"; }

gzip -dc "$flights_gz" | head -n 100001 >flights.csv
tail -n +2 flights.csv | sort >wanted

# ---- In: every line once, until the other side closes
sed '1d' flights.csv >lines.txt
peer send lines.txt
expect 0 conn --read "$address" --from tcp --write copy
peer_ended
rows_of copy | sed 's/^"\(.*\)"$/\1/' | sort >got && same "lines over TCP" wanted got
rm -rf copy
nothing_left conn

# The last line has no end; an empty one is a record without text.
printf 'one\n\nthree' >few.txt
peer send few.txt
expect 0 conn --read "$address" --from tcp --to json --write -
[ "$(sort out)" = "$(printf '{"text":""}\n{"text":"one"}\n{"text":"three"}')" ] || fail "few lines: $(cat out)"
peer_ended

# CSV, with names in its first line; a bad line is a bad record.
printf 'text,number,remark\nfirst,1,\nsecond,two,\nthird,3,"a, b"\n' >notes.csv
peer send notes.csv
expect 0 "$penstock" run conn.so --parallelism 2 -- --read "$address" --from tcp-csv --to csv --write -
[ "$(sort out)" = "$(printf '1,first,,\n3,third,"a, b",\nnumber,text,remark,share')" ] || fail "CSV over TCP: $(cat out)"
in_err "1 bad record" && in_err "$address:3: "
peer_ended

# ---- Out: the head once, every record once, whole lines
for how in take slow; do
    peer $how taken
    expect 0 conn --read flights.csv --to tcp --write "$address"
    peer_ended
    [ "$(head -n 1 taken)" = "$(head -n 1 flights.csv)" ] || fail "$how: the names are $(head -n 1 taken)"
    tail -n +2 taken | sort >got && same "records over TCP, $how" wanted got
    nothing_left conn
done

# ---- Nobody there, and somebody who goes away
./peer port take nothing & # for a port that is free when it has gone
free=$!
wait_until test -s port
address=127.0.0.1:$(cat port)
kill $free
wait $free 2>/dev/null
expect 1 conn --read "$address" --from tcp && in_err "$address" && in_err "Connection refused" && one_message
expect 1 conn --read flights.csv --to tcp --write "$address" && in_err "$address" && in_err "Connection refused" && one_message
peer leave
expect 1 conn --read flights.csv --to tcp --write "$address"
in_err "lost the connection to $address: " && one_message
peer_ended
expect 2 conn --read nowhere --from tcp && in_err "localhost:9999"
nothing_left conn

# ---- With .reconnect it goes on with the next connection; what is cut in a line is two lines
peer cut lines.txt 1000000
"$penstock" run conn.so --quiet --parallelism 2 -- --read "$address" --from tcp --reconnect --to nowhere 2>background.err &
supervisor=$!
lines=$(wc -l <lines.txt)
[ "$(head -c 1000000 lines.txt | tail -c 1 | od -An -c | tr -d ' ')" = '\n' ] || lines=$((lines + 1))
wait_until sh -c "'$penstock' top conn --once --json | grep -q '\"records\":$lines,'"
peer_ended
kill -TERM "$supervisor"
wait "$supervisor" || fail "a job that reconnects fails: $(cat background.err)"
nothing_left conn
finish
