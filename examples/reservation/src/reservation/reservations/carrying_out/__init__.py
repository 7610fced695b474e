"""What was asked for and is still to be done: a to-do list, and the task that works it off.

It stands in for durable commands: once the engine has its queue, a decision will send the next
command itself, and this folder goes.
"""
