-- Whose offer an item is, a user_id: nobody is offered their own. Empty for the shop's.
alter table {{ database }}.items add column owner String after image
