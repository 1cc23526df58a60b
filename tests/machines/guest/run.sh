#!/bin/sh
# Runs the command of this machine, keeps its exit status, and turns the machine off.
systemctl is-system-running --wait > /machine/state
cd "$(cat /machine/directory)" || exit 1
/bin/sh /machine/command
echo $? > /machine/status
sync
systemctl poweroff --force --force > /dev/null 2>&1
